"""The last line of a terminal: drawn where it has changed, and away before anything else."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli.live_bar import LiveBar

CLEAR = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1

    def new(self) -> str:
        """Return what was written since the last look."""
        found = self.getvalue()
        self.seek(0)
        self.truncate()
        return found


def terminal_of(monkeypatch: pytest.MonkeyPatch, columns: int = 100) -> Terminal:
    """Have standard output be a terminal; in the test itself, since pytest has its own before."""
    made = Terminal()
    monkeypatch.setattr(sys, "stdout", made)
    size = SimpleNamespace(columns=columns)
    monkeypatch.setattr("headrace.cli.live_bar.os.get_terminal_size", lambda _descriptor: size)
    return made


def job(step: str, rows: int | None) -> dict[str, Any]:
    told = {"share": None, "rows": rows, "done": None, "total": None, "unit": "rows"}
    return {"step": step, "progress": None if rows is None else {**told, "per_second": None}}


def test_a_bar_is_drawn_again_only_where_it_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    bar = LiveBar()
    bar.clear()
    assert terminal.new() == ""
    bar.show([job("a", 5), job("silent", None), job("b", 7)])
    assert terminal.new() == f"{CLEAR}a 5 rows  b 7 rows"
    bar.show([job("a", 5), job("b", 7)])
    assert terminal.new() == ""
    bar.show([job("a", 6), job("b", 7)])
    assert terminal.new() == f"{CLEAR}a 6 rows  b 7 rows"
    bar.show([job("a", None)])
    assert terminal.new() == CLEAR
    bar.clear()
    assert terminal.new() == ""


def test_a_bar_that_was_taken_away_is_drawn_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    bar = LiveBar()
    for _ in range(2):
        bar.show([job("a", 5)])
        assert terminal.new() == f"{CLEAR}a 5 rows"
        bar.clear()
        assert terminal.new() == CLEAR


@pytest.mark.parametrize(("columns", "width"), [(20, 19), (0, 79)])
def test_a_bar_stays_on_one_line(monkeypatch: pytest.MonkeyPatch, columns: int, width: int) -> None:
    terminal = terminal_of(monkeypatch, columns)
    LiveBar().show([job("s" * 200, 5)])

    assert terminal.new() == f"{CLEAR}{'s' * (width - 1)}…"


def test_where_the_output_is_no_terminal_nothing_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    bar = LiveBar()
    bar.show([job("a", 5)])
    bar.clear()

    assert output.getvalue() == ""
