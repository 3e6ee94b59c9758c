"""Which argument of a step an error speaks of, so that it is placed there."""

from typing import Any

import pytest

from headrace.engine.explain.dry_run import _label, _Rehearsal, _value_at, error_of_sql
from headrace.model.pipeline import Foreach, Step

PAYLOAD = {"table": "s.t", "n": 3, "sql": "select 1", "sql_path": "x.sql", "mode": "odd 'one'"}


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("sql:2: there is no x", "sql"),
        ("sql is empty", "sql"),
        ("the sql is empty", "sql"),
        ("x.sql:3: there is no x", "sql_path"),
        ("n must be between 0 and 5", "n"),
        ("it takes 'n' only once", "n"),
        ('the parameter "n" is "p"', "n"),
        ("'s.t' is not an identifier", "table"),
        # A value that is quoted says more than a name among the words.
        ("'s.t' is no n of ours", "table"),
        ("sql:1: 's.t' has no n", "sql"),
        ("nothing of it fits", None),
        ("tables are missing", None),
    ],
)
def test_an_error_is_placed_at_the_argument_that_it_names(said: str, key: str | None) -> None:
    nobody: Any = None
    found = _Rehearsal._argument(nobody, PAYLOAD, ValueError(said))
    assert found == ((key,) if key else ())


@pytest.mark.parametrize(
    ("said", "of_sql", "of_path"),
    [
        ("sql:2: x", True, False),
        ("sql x", True, False),
        ("sqlite: x", False, False),
        ("a sql: x", False, False),
        ("load/x.sql:2: x", False, True),
    ],
)
def test_an_error_of_sql_begins_with_its_place(said: str, of_sql: bool, of_path: bool) -> None:
    assert (error_of_sql(said, "sql"), error_of_sql(said, "sql_path")) == (of_sql, of_path)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("foreach", "items"), [1, 2]),
        (("env", "NAME"), "text"),
        (("env", "OTHER"), None),
        (("n",), 3),
        (("m",), None),
        ((), None),
    ],
)
def test_the_value_at_a_place_is_that_of_the_step(at: tuple[str, ...], value: Any) -> None:
    step = Step(
        "s", "Fibonacci", foreach=Foreach([1, 2]), with_={"n": 3}, env={"NAME": "text", "n": "x"}
    )
    assert _value_at(step, at) == value
    assert _value_at(Step("s", "Fibonacci"), ("foreach", "items")) is None


def test_a_handler_is_called_one() -> None:
    assert _label(Step("s", "Fibonacci")) == 'step "s"'
    assert _label(Step("s", "Fibonacci", handler="failure")) == 'handler "s"'
