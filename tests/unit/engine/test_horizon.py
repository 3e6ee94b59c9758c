"""Up to when all that has ended is visible, by the transactions that were open at each look."""

from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.engine.operations.totals import Horizon

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def horizons(*looks: str) -> list[int | None]:
    """Return for each look, a second apart, the second up to which all is visible by then."""
    one = Horizon()
    found: list[int | None] = []
    for second, writers in enumerate(looks):
        now = NOON + timedelta(seconds=second)
        database: Any = _Answering({"now": now, "writers": list(writers)})
        seen = one.look(database)
        found.append(None if seen is None else int((seen - NOON).total_seconds()))
    return found


class _Answering:
    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row

    def row(self, statement: str) -> dict[str, Any]:
        assert statement == "open_writers"
        return self._row


def test_without_open_writers_all_is_visible_up_to_the_look() -> None:
    assert horizons("", "") == [0, 1]


def test_what_ended_before_a_look_is_visible_when_all_its_writers_are_gone() -> None:
    assert horizons("ab", "bc", "cd") == [None, None, 0]
    # The look that found them gone is the next one whose writers are waited for.
    assert horizons("a", "b", "b", "c", "d") == [None, 0, None, 1, 3]


def test_once_nobody_writes_earlier_looks_do_not_matter() -> None:
    assert horizons("a", "", "a", "a", "b") == [None, 1, None, None, 2]
