"""A pipeline that is stored is had again as it was, whatever stands in it."""

from datetime import UTC, date, datetime

import pytest

from headrace.model.pipeline import (
    Calendar,
    Concurrency,
    Foreach,
    Param,
    Pipeline,
    PipelineTrigger,
    Schedule,
    Step,
)
from headrace.model.retry import RetryPolicy
from headrace.model.stored import from_stored, stored

PLACES = {"file": "a/b.yaml", "folder": "/x/a", "source": b"text"}
WITH = {
    "texts": ["ä\x00\ud800", "", "1.50"],
    "numbers": [1, 10**30, 1.5, float("inf"), True, None],
    "nested": {"": "Step", "id": "no step"},
    "keys": {1: "one", None: "none", False: "no"},
}
FULL = Pipeline(
    name="full",
    version="v",
    steps=(
        Step("a", "Job", with_=WITH, env={"A": "b"}, foreach=Foreach([1, {"x": 2}], "one", 3)),
        Step("b", "Job", ("a",), retry=RetryPolicy(when=("A", "B"), intervals_s=(1.0, 2.5))),
    ),
    schedules=(
        Schedule(
            cron="0 6 * * *",
            timezone="Europe/Berlin",
            start=datetime(2026, 3, 1, 5, 0, 0, 7, tzinfo=UTC),
            calendar=Calendar(country="DE", dates=(date(2026, 12, 24),)),
        ),
    ),
    params=(Param("n", "integer", default=5, enum=(1, 5)),),
    concurrency=Concurrency(2, "skip", "group"),
    handlers=(Step("h", "Job", handler="failure"),),
    trigger=PipelineTrigger(("x", "y"), with_={"n": "{{ upstream.x }}"}),
    **PLACES,  # type: ignore[arg-type]
)


def test_a_stored_pipeline_is_had_again_with_nothing_lost() -> None:
    found = from_stored(stored(FULL), **PLACES)  # type: ignore[arg-type]

    assert found == FULL
    assert repr(found) == repr(FULL)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"null", b"\xff", b'{"": "Step", "id": "a", "job": "b"}'),
        stored(FULL).replace(b'"cron"', b'"of_a_later_version"'),
    ],
)
def test_what_cannot_be_read_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        from_stored(content, file="", folder="", source=b"")
