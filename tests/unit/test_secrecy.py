"""`${NAME}` becomes a value in the worker only, and the value is hidden from then on."""

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from headrace.errors import JobFailure
from headrace.observe import redaction

SECRET = "p@ss word/'7"


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    redaction.forget()
    yield
    redaction.forget()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "one"),
        ("x ${A}${B} y", "x onetwo y"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A {A} $", "$A {A} $"),
        ("${A-B}", "${A-B}"),
        ("${HOLDS}", "${A}"),
    ],
)
def test_a_reference_becomes_its_value_once(text: str, value: str) -> None:
    environ = {"A": "one", "B": "two", "HOLDS": "${A}"}

    assert redaction.reveal(text, environ) == value


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(JobFailure, match="SHOP_TOKEN is not set in the worker"):
        redaction.reveal("${SHOP_TOKEN}", {})


def test_the_worker_s_own_variables_cannot_be_read() -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "HEADRACE_API_TOKEN"):
        with pytest.raises(JobFailure, match="Headrace's own"):
            redaction.reveal(f"${{{name}}}", {name: SECRET})


@pytest.mark.parametrize(
    "shown",
    [
        f"before {SECRET} after",
        repr(SECRET),
        json.dumps(SECRET),
        f"https://x/?t={quote(SECRET, safe='')}",
        quote(SECRET),
        "p%40ss+word%2F%277",
    ],
)
def test_a_value_is_hidden_in_every_form(shown: str) -> None:
    redaction.hide(SECRET)

    hidden = redaction.redacted(shown)

    assert "***" in hidden
    assert "p@ss" not in hidden and "p%40ss" not in hidden


def test_each_line_of_a_value_is_hidden() -> None:
    redaction.hide("-----BEGIN-----\nabcdefgh\n-----END-----\n")

    assert redaction.redacted("it says abcdefgh here") == "it says *** here"


def test_the_longer_of_two_values_is_hidden_whole() -> None:
    redaction.hide("abcd")
    redaction.hide("abcdefgh")

    assert redaction.redacted("abcdefgh abcd") == "*** ***"


def test_short_values_hide_nothing() -> None:
    redaction.hide("eu")
    redaction.hide("")

    assert redaction.redacted("the queue of europe") == "the queue of europe"


def test_json_stays_json() -> None:
    redaction.hide("true")
    redaction.hide("12345")

    hidden = redaction.redacted_json('{"a": true, "b": 12345, "is true": ["12345", null]}')

    assert json.loads(hidden or "") == {"a": True, "b": 12345, "is ***": ["***", None]}


def test_what_is_forgotten_is_shown() -> None:
    redaction.hide(SECRET)
    redaction.forget()

    assert redaction.redacted(SECRET) == SECRET
