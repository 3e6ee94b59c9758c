"""Counts what became of the faults, by room and by operator, and lists what no test noticed."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.mutants.sources import room_of

EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
_KEY = ("path", "where", "operator", "before", "after")
Row = Mapping[str, Any]


def equivalents() -> dict[tuple[str, ...], str]:
    """Return the reason for each fault that changes nothing a user could see."""
    known = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) or []
    return {tuple(one[name] for name in _KEY): one["reason"] for one in known}


@dataclass(frozen=True)
class Count:
    """How many faults were killed, of those that are not equivalent."""

    killed: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval for the share, 95 %."""
        if not self.of:
            return 0.0, 1.0
        z, n, share = 1.96, self.of, self.killed / self.of
        middle = share + z * z / (2 * n)
        width = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return (middle - width) / (1 + z * z / n), (middle + width) / (1 + z * z / n)


def report(rows: Sequence[Row], seed: int, commit: str, tests: Sequence[str]) -> str:
    """Return the report as Markdown."""
    known = equivalents()
    different = [row for row in rows if _key(row) not in known]
    count = _count(different)
    low, high = count.interval
    summary = (
        f"Commit {commit[:12]}, seed {seed}, tests {' '.join(tests)}: {len(rows)} faults,"
        f" {len(rows) - len(different)} equivalent, {count.killed} of {count.of} killed"
        f" ({_percent(count)}; 95 % interval {low:.0%} to {high:.0%})."
    )
    lines = [
        summary,
        "",
        *_table("room", different, lambda row: room_of(row["path"])),
        "",
        *_table("operator", different, lambda row: str(row["operator"])),
    ]
    lines += ["", "Not noticed:", ""]
    lines += [_shown(row) for row in different if row["verdict"] != "killed"] or ["nothing"]
    equal = [row for row in rows if _key(row) in known]
    if equal:
        lines += ["", "Equivalent:", ""]
        lines += [f"{_shown(row)}: {known[_key(row)]}" for row in equal]
    return "\n".join(lines) + "\n"


def _table(title: str, rows: Sequence[Row], key: Callable[[Row], str]) -> list[str]:
    lines = [f"| {title} | killed | of | share |", "|---|---:|---:|---:|"]
    for name in sorted(Counter(map(key, rows))):
        count = _count([row for row in rows if key(row) == name])
        lines.append(f"| {name} | {count.killed} | {count.of} | {_percent(count)} |")
    return lines


def _count(rows: Sequence[Row]) -> Count:
    return Count(sum(row["verdict"] == "killed" for row in rows), len(rows))


def _percent(count: Count) -> str:
    return f"{count.killed / count.of:.0%}" if count.of else "-"


def _key(row: Row) -> tuple[str, ...]:
    return tuple(row[name] for name in _KEY)


def _shown(row: Row) -> str:
    how = {
        "survived": f"{row['of']} tests passed",
        "unfinished": f"{row['ran']} of {row['of']} tests passed in the time given",
        "unreached": "no test executes it",
        "killed": f"killed by {row['by']}",
    }[row["verdict"]]
    place = f"{row['path']}:{row['line']}"
    return f"- {place} ({row['operator']}; {how}): `{row['before']}` → `{row['after']}`"
