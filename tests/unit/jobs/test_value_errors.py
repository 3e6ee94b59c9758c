"""Which query a value failed in is told where the server tells neither column nor place."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import DataError

from headrace.jobs.sql.value_errors import said_of


def _error(code: str | None = "22012", **told: Any) -> Any:
    known: dict[str, Any] = {"statement_position": None, "context": None, "table_name": None}
    cause = type("E", (Exception,), {"pgcode": code})("division by zero")
    cause.diag = SimpleNamespace(**{**known, **told})
    return cause


@pytest.mark.parametrize(
    ("error", "notes"),
    [
        (_error(), ["in the query of b"]),
        (_error("22P02"), ["in the query of b"]),
        (_error(statement_position="7"), []),
        (_error(context="PL/pgSQL function f()"), []),
        (_error(table_name="t"), []),
        (_error("42P01"), []),
        (_error(None), []),
        (ValueError("not of a server"), []),
        (KeyboardInterrupt(), []),
    ],
)
def test_a_note_is_added_to_what_tells_no_place(error: Any, notes: list[str]) -> None:
    with pytest.raises(type(error)) as told, said_of("in the query of b".removeprefix("in ")):
        raise error

    assert getattr(told.value, "__notes__", []) == notes


def test_the_drivers_error_is_found_behind_sqlalchemys() -> None:
    with pytest.raises(DataError) as told, said_of("the query of b"):
        raise DataError("SELECT 1 / 0", {}, _error())

    assert told.value.__notes__ == ["in the query of b"]


def test_what_goes_well_is_said_nothing_of() -> None:
    with said_of("the query of b"):
        pass
