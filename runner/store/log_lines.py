"""Log lines of an attempt, in the form of `add_log_lines`."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class LogLines:
    """Lines as JSON; `left_out` are the first and the last number of those that were not kept."""

    entries: str
    left_out: tuple[int, int] | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The values of the statements that write them."""
        first, last = self.left_out or (None, None)
        return {"entries": self.entries, "first_left_out": first, "last_left_out": last}


def log_lines(
    entries: Iterable[dict[str, Any]], left_out: tuple[int, int] | None, at: float
) -> LogLines:
    """Return lines to write: `line`, `at` in Unix seconds, `level`, `message`.

    Where some were left out, one more says how many, in their place.
    """
    lines = list(entries)
    if left_out is not None:
        first, last = left_out
        count = last - first + 1
        said = f"{count} lines were left out here" if count > 1 else "1 line was left out here"
        lines.append({"line": first, "at": at, "level": "info", "message": said})
    return LogLines(json.dumps(lines), left_out)


def lines_of_batch(said: Iterable[tuple[UUID, int, str]]) -> str:
    """Return lines of several attempts (job, attempt, `entries`) for `add_lines_of_batch`."""
    each = (f'{{"job":"{job}","attempt":{number},"lines":{lines}}}' for job, number, lines in said)
    return f"[{','.join(each)}]"
