"""What may be the beginning of an id, and a run that is gone once it was listed."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli.finding import bounds, newest_run
from headrace.errors import NotFound
from headrace.store import listings

WHOLE = "019ac5f2-9d41-7295-8ee5-00eecc0f5544"


@pytest.mark.parametrize("length", range(4, len(WHOLE) + 1))
def test_an_id_lies_between_the_bounds_of_each_of_its_beginnings(length: int) -> None:
    for text in (WHOLE[:length], WHOLE[:length].upper()):
        found = bounds(text)
        assert found is not None
        assert str(found[0]) <= WHOLE <= str(found[1])
        assert str(found[0]).startswith(WHOLE[:length])


def test_hyphens_may_be_left_out() -> None:
    assert bounds("019ac5f29d41") == bounds("019ac5f2-9d41") == bounds("019ac5f2-9d41-")


@pytest.mark.parametrize(
    "text",
    ["", "-", "----", "019", "01-9a", "019a-", "019ac5f2-9d-41", "sales", WHOLE + "0", "019x"],
)
def test_what_is_no_beginning_of_an_id_is_none(text: str) -> None:
    assert bounds(text) is None


@pytest.mark.parametrize(
    ("pipeline", "told"),
    [(None, "there is no run yet; `headrace run PIPELINE` starts one"),
     ("p", "p has no run yet; `headrace run p` starts one")],
)  # fmt: skip
def test_a_run_that_is_deleted_while_it_is_looked_for_is_none(
    monkeypatch: pytest.MonkeyPatch, pipeline: str | None, told: str
) -> None:
    monkeypatch.setattr(listings, "list_runs", lambda *_given, **_of: [{"id": 1}])
    database = SimpleNamespace(row=lambda _name, **_of: None)
    headrace: Any = SimpleNamespace(
        database=database, pipelines=SimpleNamespace(by_name={"p": None})
    )
    with pytest.raises(NotFound) as refused:
        newest_run(headrace, pipeline)

    assert str(refused.value) == told
