"""What `with` says is held against plain type hints, strictly, and read by them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_schema import of_hint
from headrace.engine.catalog.job_type import JobType
from headrace.engine.catalog.type_hints import describe, judges_value
from headrace.errors import InvalidPayload
from headrace.jobapi import dispatching
from headrace.jobs.base import BaseJob
from headrace.model.argument_types import Mismatch, fit
from headrace.model.typed_values import fit_typed
from headrace.template.braces import has_template


class Colour(Enum):
    RED = "red"


class Foreign:
    """A class that JSON has no form for."""


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("5", int), (True, int), (5.0, int), ("1.5", float), (True, float), (1, bool),
        ("yes", bool), ("true", bool), (5, str), (None, str), (["a"], str),
        (20250131, date), ("31st", date), ("2025-02-30", date), ("soon", datetime),
        (300, timedelta), ("5 minutes", timedelta), ("1,5", Decimal), (True, Decimal),
        ("nan", Decimal), ("ab", list[str]), ([1, "x"], list[int]), ({"a": "b"}, dict[str, int]),
        ("c", Literal["a", "b"]), ([1], tuple[int, int]), ("blue", Colour), ("x", UUID),
        (-1, Annotated[int, Field(ge=0)]), (5, str | list[str]), ("x", int | None),
        ("x", Sequence[str]),
    ],
)  # fmt: skip
def test_what_is_of_another_type_is_refused(value: Any, hint: Any):
    with pytest.raises(Mismatch):
        fit(value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "read"),
    [
        (5, float, 5),
        (2**60 + 1, float, 2**60 + 1),
        (Decimal("0.1234567890123456789"), float, 0.12345678901234568),
        (Decimal("0.1234567890123456789"), str | float, Decimal("0.1234567890123456789")),
        ("2025-01-31", date, date(2025, 1, 31)),
        ("2025-01-31T06:00:00", datetime, datetime(2025, 1, 31, 6, tzinfo=UTC)),
        ("5m", timedelta, timedelta(minutes=5)),
        (timedelta(minutes=5), timedelta, timedelta(minutes=5)),
        ("12.50", Decimal, Decimal("12.50")),
        (0.1, Decimal, Decimal("0.1")),
        (Decimal("1234567890123.4567"), Decimal, Decimal("1234567890123.4567")),
        (7, Decimal, Decimal(7)),
        (["2025-01-31"], list[date], [date(2025, 1, 31)]),
        ([1, 2], tuple[int, int], (1, 2)),
        (("a", "b"), list[str], ["a", "b"]),
        ({"a": 1.5}, Mapping[str, float], {"a": 1.5}),
        (["a"], Sequence[str], ["a"]),
        ([1.5, "a", 2], list[str | int | float], [1.5, "a", 2]),
        ("2025-01-31", date | str, date(2025, 1, 31)),
        ("2025-01-31", str | date, "2025-01-31"),
        ("soon", date | str, "soon"),
        (None, str | None, None),
        ("red", Colour, Colour.RED),
        ("a/b", Path, Path("a/b")),
        ([1], list, [1]),
        ({"a": [1]}, dict[str, Any], {"a": [1]}),
        ("x", Foreign, "x"),
        (object, None, object),
    ],
)
def test_what_fits_is_read_as_its_hint_has_it(value: Any, hint: Any, read: Any):
    found = fit(value, hint)

    assert (type(found), found) == (type(read), read)


def test_unions_are_read_in_their_own_order_whichever_came_first():
    hints = (list[str | date], list[date | str], str | date, date | str, str | date)

    found = [fit(["2025-01-31"] if "list" in str(hint) else "2025-01-31", hint) for hint in hints]

    day = date(2025, 1, 31)
    assert found == [["2025-01-31"], [day], "2025-01-31", day, "2025-01-31"]


@pytest.mark.parametrize(
    ("value", "hint", "path"),
    [
        ([1, "x"], list[int], (1,)),
        ({"a": 5}, list[str] | dict[str, str], ("a",)),
        (["x", 5], str | list[str], (1,)),
        ({"a": {"b": [1, "x"]}}, dict[str, dict[str, list[int]]], ("a", "b", 1)),
        (5, list[str] | dict[str, str], ()),
    ],
)
def test_the_part_that_does_not_fit_is_named(value: Any, hint: Any, path: Any):
    with pytest.raises(Mismatch) as caught:
        fit(value, hint)

    assert caught.value.path == path


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("{{ x }}", int), ("{{ x }}", date), (["{{ x }}", 3], list[int]),
        ({"a": "{{ x }}"}, dict[str, float]), ("{{ x }}", Literal["a"]),
        ("{% if x %}1{% endif %}", Colour), ("{{ x }}", list[str] | dict[str, str]),
    ],
)  # fmt: skip
def test_a_template_fits_until_it_is_rendered(value: Any, hint: Any):
    assert fit(value, hint, has_template) == value
    with pytest.raises(Mismatch):
        fit(value, hint)


def test_beside_a_template_the_rest_is_judged():
    with pytest.raises(Mismatch):
        fit(["{{ x }}", "three"], list[int], has_template)


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (date | None, "a date as in 2025-01-31"),
        (timedelta, "a duration as in 5m"),
        (list[Decimal], "a list of a number"),
        (Colour, "one of red"),
        (Annotated[int, Field(ge=0)], "a whole number"),
        (dict[str, Any], "a mapping to anything"),
    ],
)
def test_a_hint_is_told_in_the_users_words(hint: Any, words: str):
    assert describe(hint) == words


@pytest.mark.parametrize(
    ("hint", "sample", "judges"),
    [
        (date | None, "x", True),
        (datetime, "x", True),
        (timedelta, "x", True),
        (Decimal, "x", True),
        (UUID, "x", True),
        (Path, "x", False),
        (Literal["a", "b"], "x", True),
        (Colour, "x", True),
        (tuple[int, int], [], True),
        (tuple[int, ...], [], False),
        (int, "x", False),
        (str, "x", False),
        (date, [], False),
        (None, "x", False),
    ],
)
def test_a_value_that_is_not_known_yet_is_judged_by_its_type_only(
    hint: Any, sample: Any, judges: bool
):
    assert judges_value(hint, sample) is judges


def test_editors_are_told_the_form_of_a_value():
    assert of_hint(date) == {"type": "string", "format": "date"}
    assert of_hint(timedelta)["pattern"].endswith("[smhd]$")
    assert {"type": "number"} in of_hint(Decimal)["anyOf"]
    assert of_hint(Annotated[int, Field(ge=0)]) == {"type": "integer", "minimum": 0}
    assert of_hint(Foreign) == {}


# -- jobs ----------------------------------------------------------------------------------


class Sized(BaseModel):
    size: int


class Daily(BaseJob):
    """Takes values that JSON has no types for."""

    def __init__(
        self,
        day: date,
        wait: timedelta = timedelta(minutes=5),
        price: Decimal = Decimal(0),
        sizes: list[Sized] | None = None,
        keep: Annotated[int, Field(ge=0)] = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.day, self.wait, self.price, self.sizes, self.keep = day, wait, price, sizes, keep

    def handle(self) -> Any:
        return None


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    made.names()
    made._types["Daily"] = JobType("Daily", Daily)
    return made


def test_a_job_is_made_with_values_of_its_hints_and_keeps_what_was_given(registry: Registry):
    with_ = {"day": "2025-01-31", "wait": "1h", "price": "0.10", "sizes": [{"size": 3}]}

    job = registry.make("Daily", with_)

    assert (job.day, job.wait, job.price) == (date(2025, 1, 31), timedelta(hours=1), Decimal("0.1"))
    assert job.sizes == [Sized(size=3)]
    assert job.payload == with_


def test_a_job_of_which_not_all_is_known_is_given_what_is_as_its_hint_has_it(registry: Registry):
    with_ = {"day": "2025-01-31", "wait": "{{ steps.a.result }}"}

    job = registry.make_of_known("Daily", with_, has_template)

    assert (job.day, job.wait) == (date(2025, 1, 31), "{{ steps.a.result }}")
    assert job.payload == with_


def test_a_wrong_argument_is_told_with_the_keys_that_lead_to_it(registry: Registry):
    found = registry.check("Daily", {"day": "no", "sizes": [{"size": 3}, {"size": "x"}]})

    assert [keys for keys, code, *_ in found if code == "wrong-type"] == [
        ("day",),
        ("sizes", 1, "size"),
    ]


def test_a_rule_that_a_hint_adds_is_told(registry: Registry):
    [(keys, code, message, _)] = registry.check("Daily", {"day": "2025-01-31", "keep": -1})

    assert (keys, code) == (("keep",), "wrong-type")
    assert message == 'the parameter "keep" of Daily should be greater than or equal to 0'


def test_a_template_in_a_dispatched_job_is_what_it_is(registry: Registry):
    assert registry.check("Fibonacci", {"n": "{{ params.n }}"}) == []
    with pytest.raises(InvalidPayload, match='"n" of Fibonacci takes a whole number'):
        registry.arguments("Fibonacci", {"n": "{{ params.n }}"})


def test_a_job_that_takes_any_key_has_its_own_ones_judged():
    class Importing(BaseJob):
        def __init__(self, count: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.count = count

        def handle(self, **kwargs: Any) -> Any:
            return kwargs

    registry = Registry()
    registry.names()
    registry._types["Importing"] = JobType("Importing", Importing)

    assert registry.check("Importing", {"count": 1, "whatever": 2}) == []
    assert [code for _, code, *_ in registry.check("Importing", {"whatever": 2})] == [
        "missing-parameter"
    ]


def test_dispatch_writes_values_as_yaml_does(monkeypatch: pytest.MonkeyPatch):
    sent: list[dict[str, Any]] = []

    class Recorder:
        def dispatch(self, _name: str, payload: dict[str, Any], **_options: Any) -> str:
            sent.append(payload)
            return "id"

    monkeypatch.setattr(dispatching, "_dispatcher", [Recorder()])
    Daily.dispatch(day=date(2025, 1, 31), price=Decimal("0.10"))

    assert sent == [{"day": "2025-01-31", "price": Decimal("0.10")}]


_HINTS: list[Any] = [
    str, int, bool, float, list, dict, None, Any, list[str], list[int | float], dict[str, Any],
    dict[str, str | None], str | None, int | str, float | str, str | float, date | str, str | date,
    bool | int, Literal["a", "b"], Literal["a"] | None, list[dict[str, float]], str | list[str],
    list[str] | dict[str, str | dict[str, str]] | None, dict[str, int] | list[int] | str,
    Decimal | str, Annotated[int, Field(ge=0)],
]  # fmt: skip
_VALUES: list[Any] = [
    None, True, 0, -1, 1.0, 1.5, "", "a", "ü", "\ud800", "5", "2025-01-31", "{{ x }}", [], ["a"],
    [1], [1.5, "a"], [None], {}, {"a": 1}, {"a": "b"}, {"a": None}, {"a": [1]}, [{"a": 1.5}],
    {1: "a"}, ["{{ x }}", 1], Decimal("1.10"), {"a": "{{ x }}"}, (), ("a",),
]  # fmt: skip


@pytest.mark.parametrize("is_template", [None, has_template])
def test_what_is_seen_to_fit_at_once_is_what_pydantic_reads(is_template: Any):
    def outcome(fits: Any, value: Any, hint: Any) -> Any:
        try:
            found = fits(value, hint, is_template)
        except Mismatch as error:
            return ("refused", error.path)
        return (type(found), repr(found))

    for hint in _HINTS:
        for value in _VALUES:
            quick = outcome(fit, value, hint)
            assert quick == outcome(fit_typed, value, hint), (hint, value)


@pytest.mark.parametrize(
    ("hint", "value", "rule"),
    [
        (int, "x", ""),
        (UUID, "x", ""),
        (time, "x", ""),
        (timedelta, "x", ""),
        (Decimal | None, "x", ""),
        (Literal["a"], "b", ""),
        (Colour, "blue", ""),
        (Annotated[int, Field(ge=0)], -1, "should be greater than or equal to 0"),
    ],
)
def test_a_rule_is_told_only_of_a_value_of_the_right_type(hint: Any, value: Any, rule: str):
    with pytest.raises(Mismatch) as told:
        fit_typed(value, hint, None)

    assert told.value.rule == rule


def test_a_job_cannot_change_the_lists_of_its_pipeline():
    given = {"a": [1]}

    fit(given, dict[str, Any])["a"].append(2)

    assert given == {"a": [1]}
