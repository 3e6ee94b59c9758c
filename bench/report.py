"""Writes the tables and the chart of docs/performance.md from bench/results/*.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import chart, promises
from bench.peerage import BY_KEY, ENTRIES

_STATUS = {
    "each": "each job",
    "shared": "each job, short ones up to 16 a commit (32 with dependants)",
    "batches": "in batches",
    "none": "no",
}
# What cases report beside their main number.
_DETAILS = {
    "cpu_s": ("CPU seconds", "{:.2f}"),
    "pss_mb": ("memory (PSS), MB", "{:.0f}"),
    "processes": ("processes", "{:.0f}"),
    "transactions_per_s": ("transactions a second", "{:.2f}"),
    "redis_commands_per_s": ("Redis commands a second", "{:.1f}"),
    "load_s": ("files loaded and validated, s", "{:.2f}"),
    "plan_s": ("planned, s", "{:.2f}"),
    "dispatch_s": ("rows inserted and messages sent, s", "{:.2f}"),
    "run_s": ("from the first job to the end, s", "{:.2f}"),
    "submit_s": ("of it the submitting call, s", "{:.2f}"),
    "jobs_per_s": ("jobs a second", "{:,.0f}"),
    "hand_s": ("psql, s", "{:.2f}"),
    "ours_s": ("the job, s", "{:.2f}"),
    "dlt_s": ("dlt, s", "{:.1f}"),
    "sling_s": ("sling, s", "{:.1f}"),
    "peak_mb": ("peak memory of the worker, MB", "{:.0f}"),
    "jobs_ms": ("slowest listing of jobs, ms", "{:.1f}"),
    "runs_ms": ("slowest listing of runs, ms", "{:.1f}"),
    "validate_first_s": ("`validate` of files that are new, s", "{:.1f}"),
    "validate_s": ("`validate` again, s", "{:.1f}"),
    "idle_percent": ("idle, % of a core", "{:.1f}"),
    "pipelines_ms": ("`GET /pipelines`, ms", "{:.0f}"),
    "metrics_ms": ("`/metrics`, ms", "{:.1f}"),
    "pruned_per_s": ("runs deleted a second", "{:,.0f}"),
    "connections": ("connections to PostgreSQL", "{:.0f}"),
    "most_ms": ("longest wait, ms", "{:.1f}"),
    "last_started_ms": ("last job started, ms", "{:.0f}"),
    "last_finished_ms": ("last run finished, ms", "{:.0f}"),
}

# The table that leads: jobs that write a row; and the one of jobs that do nothing.
_REAL = ("sql", "python", "chain-sql")
_NOTHING = ("drain", "enqueue", "chain", "fan")

# The same of jobs that write a row.
_STATUS_AT_WORK = {**_STATUS, "shared": "each job, those that only append rows up to 16 a commit"}

Case = dict[str, Any]


def write(results: Path, page: Path) -> None:
    """Write everything between the page's marks anew, and the chart beside it."""
    files = [json.loads(path.read_text()) for path in sorted(results.glob("*.json"))]
    if not files:
        return
    cases = {case["key"]: case | {"of": one} for one in files for case in one["cases"]}
    picture = page.with_name("performance.svg")
    parts = [_machine(files), _compared(cases, _REAL, "Work", _STATUS_AT_WORK)]
    if "sql" in cases:
        picture.write_text(chart.bars(cases["sql"], ENTRIES))
        parts.append(f"![{cases['sql']['title']}, jobs per second]({picture.name})")
    parts += [promises.table(cases), _ours(cases), _remarks(cases)]
    parts.append(_compared(cases, _NOTHING, "No-op", _STATUS))
    text = "\n\n".join(part for part in parts if part)
    put(page, "bench", text)
    print(f"\nwritten: {page}, {picture}")


def put(page: Path, part: str, text: str) -> None:
    """Write a part of the page anew, between its two marks; the words around them stay."""
    begin, end = f"<!-- {part}: begin (written by a program) -->", f"<!-- {part}: end -->"
    old = page.read_text() if page.exists() else "# Performance\n"
    if begin not in old or end not in old:
        old += f"\n{begin}\n{end}\n"
    before, _, rest = old.partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


def _machine(files: list[dict[str, Any]]) -> str:
    """Say where and when; several runs of parts of the benchmark are named apart."""
    lines = []
    for stamp in sorted({one["date"] for one in files}):
        titles = [one["title"] for one in files if one["date"] == stamp]
        one = next(one for one in files if one["date"] == stamp)
        about = one["machine"]
        lines.append(
            f"- **{', '.join(titles)}** — {stamp}, medians of {one['rounds']}: {about['cpu']},"
            f" {about['cores']} cores, {about['memory']}, {about['kernel']}, Python"
            f" {about['python']}, PostgreSQL {about['postgresql']} (fsync {about['fsync']},"
            f" synchronous_commit {about['synchronous_commit']}), Valkey {about['valkey']};"
            f" one page flushed to its disk in {about['flush']}."
        )
    return "\n".join(lines)


def _compared(
    cases: dict[str, Case], keys: tuple[str, ...], head: str, statuses: Mapping[str, str]
) -> str:
    """Return the table of all systems in the cases whose key, or its first word, is given."""
    shown = [case for case in cases.values() if case["compared"] and _family(case) in keys]
    shown.sort(key=lambda case: keys.index(_family(case)))
    if not shown:
        return ""
    titles = [f"{case['title']}, {case['unit']}" for case in shown]
    lines = [
        f"| {head} | status in PostgreSQL | " + " | ".join(titles) + " |",
        "|---|---|" + "--:|" * len(titles),
    ]
    for entry in ENTRIES:
        if any(entry.key in case["results"] for case in shown):
            cells = [_cell(case["results"].get(entry.key)) for case in shown]
            lines.append(f"| {entry.label} | {statuses[entry.status]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _family(case: Case) -> str:
    """Return the key that stands for a case: its own, or the first word of it."""
    key: str = case["key"]
    return key if key in _REAL else key.partition("-")[0]


def _ours(cases: dict[str, Case]) -> str:
    """Return the table of what is measured of Headrace alone, or beside the bare loop."""
    lines = []
    for case in cases.values():
        if case["compared"]:
            continue
        for key, result in case["results"].items():
            name = case["title"] if key == "headrace" else f"{case['title']} ({BY_KEY[key].label})"
            details = "; ".join(
                f"{title} {form.format(result[field])}"
                for field, (title, form) in _DETAILS.items()
                if field in result
            )
            lines.append(f"| {name} | {_cell(result)} {case['unit']} | {details} |")
    head = "| Headrace | | |\n|---|--:|---|\n"
    return head + "\n".join(lines) if lines else ""


def _remarks(cases: dict[str, Case]) -> str:
    """Name what failed, with the reason, and what was measured in fewer rounds than asked for."""
    failed, fewer = [], []
    for case in cases.values():
        for key, result in case["results"].items():
            reasons = [result["failed"]] if "failed" in result else result.get("failures", [])
            failed += [f"- {case['title']}, {key}: {reason}" for reason in dict.fromkeys(reasons)]
            rounds = len(result.get("rounds", ()))
            if 0 < rounds < case["of"]["rounds"]:
                fewer.append(f"{case['title']}, {key}: {rounds}")
    parts = ["Failed:\n\n" + "\n".join(failed)] if failed else []
    parts += [f"Fewer rounds: {'; '.join(fewer)}."] if fewer else []
    return "\n\n".join(parts)


def _cell(result: dict[str, Any] | None) -> str:
    if result is None or "not_natural" in result:
        return "—"
    if "value" not in result:
        return "failed"
    return number(result["value"])


def number(value: float) -> str:
    """Return three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
