"""Shows how far running steps have got, on one line of a terminal that is written over."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from headrace.cli.printing import plain_bytes
from headrace.errors.shortened import shortened
from headrace.observe.terminal_text import visible

_WIDTH = 20
_CLEAR = "\r\x1b[K"


class LiveBar:
    """The last line of a terminal; where the output is no terminal, nothing."""

    def __init__(self) -> None:
        self._is_live = sys.stdout.isatty()
        self._shown = ""

    def show(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Draw the bar of the steps that say how far they have got."""
        if not self._is_live:
            return
        running = [job for job in jobs if job.get("progress")]
        text = "  ".join(f"{job['step']} {progress_text(job['progress'])}" for job in running)
        # A terminal that does not know its width says 0.
        most = (os.get_terminal_size(sys.stdout.fileno()).columns or 80) - 1
        text = shortened(text, most)
        if text != self._shown:
            sys.stdout.write(f"{_CLEAR}{text}")
            sys.stdout.flush()
            self._shown = text

    def clear(self) -> None:
        """Take the bar away, before anything else is printed."""
        if self._shown:
            sys.stdout.write(_CLEAR)
            self._shown = ""


def progress_text(progress: Mapping[str, Any]) -> str:
    """Return progress on one line: a bar where the share is known, amount and rate."""
    parts = []
    if progress["share"] is not None:
        full = round(progress["share"] * _WIDTH)
        percent = int(progress["share"] * 100)
        parts.append(f"[{'#' * full}{'-' * (_WIDTH - full)}] {percent:3d} %")
    counted = progress["rows"] if progress["rows"] is not None else progress["done"]
    unit = "rows" if progress["rows"] is not None else progress["unit"]
    if counted is not None:
        parts.append(_amount(counted, unit))
    if progress["total"] is not None and unit == progress["unit"]:
        parts[-1] += f" of {_amount(progress['total'], unit)}"
    if progress["per_second"]:
        parts.append(f"{_amount(progress['per_second'], unit)}/s")
    return ", ".join(parts)


def _amount(count: int, unit: str) -> str:
    return plain_bytes(count) if unit == "bytes" else f"{count:,} {visible(unit)}"
