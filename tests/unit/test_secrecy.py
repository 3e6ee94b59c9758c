"""`${NAME}` becomes a value in the worker only, and the value is hidden from then on."""

import json
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

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


@pytest.mark.parametrize("value", ["é\\'\" /+é", "  é\\x  "])
def test_a_value_with_marks_and_slashes_is_hidden_however_it_is_written(value: str) -> None:
    redaction.hide(value)

    for one in (value, value.strip()):
        forms = {repr(one)[1:-1], ascii(one)[1:-1], json.dumps(one)[1:-1]}
        for form in (*forms, quote(one), quote(one, safe=""), quote_plus(one)):
            assert redaction.redacted(f"<{form}>").replace(" ", "") == "<***>"


def test_each_line_of_a_value_is_hidden() -> None:
    redaction.hide("-----BEGIN-----\nabcdefgh\n-----END-----\n")

    assert redaction.redacted("it says abcdefgh here") == "it says *** here"


def test_the_longer_of_two_values_is_hidden_whole() -> None:
    redaction.hide("abcd")
    redaction.hide("abcdefgh")

    assert redaction.redacted("abcdefgh abcd") == "*** ***"


def test_a_value_that_is_learned_later_is_hidden_from_then_on() -> None:
    redaction.hide("abcdefgh")
    assert redaction.redacted("abcdefgh ijklmnop") == "*** ijklmnop"

    redaction.hide("ijklmnop")

    assert redaction.redacted("abcdefgh ijklmnop") == "*** ***"


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


@pytest.mark.parametrize(
    ("name", "set_", "read"),
    [
        ("HEADRACE_HOME", "Headrace's own", "Headrace's own"),
        ("JOB_TIMEOUT", "Headrace's own", "Headrace's own"),
        ("JOB_OTHER", None, None),
        ("PATH", "decides which code", None),
        ("LD_PRELOAD", "decides which code", None),
        ("PYTHONPATH", "decides which code", None),
        ("MAIL_PASSWORD", "takes it from the environment", "takes it from the environment"),
        ("SHOP_TOKEN", None, None),
    ],
)
def test_which_variables_a_step_may_set_and_read(name: str, set_: str | None, read: str | None):
    redaction.keep([], ["MAIL_PASSWORD"])
    try:
        for why, expected in (
            (redaction.why_not_set(name), set_),
            (redaction.why_not_read(name), read),
        ):
            assert (why is None) == (expected is None)
            assert expected is None or expected in str(why)
    finally:
        redaction.keep([], [])


def test_what_the_settings_hold_is_hidden_until_they_are_others():
    redaction.keep(["of-the-settings", "x"], ["A"])
    redaction.hide("of-the-job")
    assert redaction.redacted("of-the-settings, of-the-job, x") == "***, ***, x"
    redaction.forget()
    assert redaction.hides()
    assert redaction.redacted("of-the-settings, of-the-job") == "***, of-the-job"
    redaction.keep(["another"], [])
    assert redaction.redacted("of-the-settings, another") == "of-the-settings, ***"
    assert redaction.why_not_read("A") is None
    redaction.keep([], [])
    assert not redaction.hides()


@pytest.mark.parametrize(
    ("value", "text", "hidden"),
    [
        ("abc", "abc, abcd, xabc", "***, abcd, xabc"),
        ("abcd", "xabcdx", "x***x"),
        ("ab", "ab", "***"),
        ("a", "a", "a"),
        (" ab  ", "ab", "***"),
    ],
)
def test_a_short_value_is_hidden_as_a_word_of_its_own(value: str, text: str, hidden: str):
    redaction.hide(value)

    assert redaction.redacted(text) == hidden


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("${A} $${B} $", None),
        ("a ${A-B} b ${C}", "${A-B} b "),
        ("${", "${"),
        ("x ${1} and a long text behind it", "${1} and a long text"),
    ],
)
def test_what_names_no_variable_and_is_not_written_with_two_dollars_is_found(
    text: str, fault: str | None
):
    assert redaction.malformed(text) == fault


def test_a_variable_is_found_at_whatever_depth():
    assert redaction.referred("${B} $${X} ${A}") == ["B", "A"]
    some: tuple[object, ...] = ("${A}", {"k": ["x", ("${A}",)]}, [1, {"k": "a${A}"}])
    none: tuple[object, ...] = ("$${A}", 1, None, [], {"${A}": 1}, {1: ["$A"]})
    assert [redaction.names_any(one) for one in (*some, *none)] == [True] * 3 + [False] * 6


def test_json_in_which_nothing_is_hidden_stays_as_it_is():
    redaction.hide("12345")

    assert redaction.redacted_json(None) is None
    assert redaction.redacted_json('{ "a" :1}') == '{ "a" :1}'
    assert redaction.redacted_json('{"a":[{"b":"x12345"}]}') == '{"a": [{"b": "x***"}]}'
