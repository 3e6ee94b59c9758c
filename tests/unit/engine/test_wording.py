"""How errors are shown, which of them are tried again, and what is kept of results."""

import json

import psycopg2
import pytest
from sqlalchemy.exc import ProgrammingError

from headrace.engine.attempts.job_result import MOST_BYTES, stored
from headrace.engine.attempts.outcome import raised
from headrace.errors import InvalidResult, JobFailure
from headrace.plan.error_kinds import is_lasting

_RETRY = {"limit": 3, "delay_s": 60.0, "jitter": False}


class _ServerError(psycopg2.Error):
    pgcode: str | None = None


def server_error(code: str) -> ProgrammingError:
    error = _ServerError('relation "x" does not exist')
    error.pgcode = code
    return ProgrammingError("SELECT 1 FROM x", {}, error)


def test_an_error_is_shown_without_the_librarys_link() -> None:
    text = raised(server_error("42P01")).error

    assert text.startswith('relation "x" does not exist [undefined_table]')
    assert "sqlalche" not in text


def test_a_failure_that_a_job_words_itself_is_shown_as_it_is() -> None:
    assert raised(JobFailure("7 rows are wrong")).error == "7 rows are wrong"


def test_causes_are_told_once_each_even_in_a_circle() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    assert raised(first).error == "ValueError: a\ncaused by KeyError: 'b'"


@pytest.mark.parametrize(
    ("code", "lasting"),
    [
        ("42601", True),
        ("42P01", True),
        ("42501", True),
        ("22P02", True),
        ("0A000", True),
        ("21000", True),
        ("26000", True),
        ("2BP01", True),
        ("34000", True),
        ("3D000", True),
        ("3F000", True),
        ("54011", True),
        ("28P01", False),
        ("58030", False),
        ("23505", False),
        ("40001", False),
        ("40P01", False),
        ("55P03", False),
        ("57014", False),
        ("53200", False),
        ("08006", False),
        ("25006", False),
        ("P0001", False),
    ],
)
def test_what_lies_in_the_statement_is_not_tried_again(code: str, lasting: bool) -> None:
    error = server_error(code)

    assert is_lasting(error) is lasting
    assert (raised(error).retry_in_s(_RETRY, 0) is None) is lasting


@pytest.mark.parametrize("when", [["_ServerError"], 'relation "x"', "^relation"])
def test_retry_when_rules_over_what_the_state_says(when: object) -> None:
    assert raised(server_error("42P01")).retry_in_s({**_RETRY, "when": when}, 0) is not None


def test_no_result_is_no_value_rather_than_the_null_of_json() -> None:
    assert stored(None) is None
    assert stored([None]) == "[null]"


def test_a_result_that_holds_itself_is_refused() -> None:
    circle: list[object] = []
    circle.append({"again": circle})

    with pytest.raises(InvalidResult, match="contains itself"):
        stored(circle)


def test_a_result_of_rows_is_cut_and_says_so() -> None:
    text = stored({"rows": [["x" * 100]] * 50_000, "columns": ["a"], "row_count": 50_000})

    assert text is not None
    assert MOST_BYTES * 0.99 < len(text) <= MOST_BYTES
    assert json.loads(text)["truncated"] is True


def test_every_digit_of_a_result_stays() -> None:
    from decimal import Decimal

    assert stored({"n": Decimal("1234567890123.4567")}) == '{"n": 1234567890123.4567}'
    assert stored([Decimal("NaN"), Decimal("-Infinity")]) == '["NaN", "-Infinity"]'
