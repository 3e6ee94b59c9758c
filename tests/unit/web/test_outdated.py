"""The look of the web service for a schema that does not admit it any more."""

from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from headrace.errors import SchemaMismatch, StoreUnavailable
from headrace.web import outdated


def test_an_outage_does_not_end_the_look_for_a_later_schema(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mismatch = SchemaMismatch("version 9 is needed")
    answers: list[Exception | None] = [StoreUnavailable("away"), None, mismatch]
    stopped: list[bool] = []

    class Watch:
        def __init__(self, _database: Any) -> None:
            pass

        def look(self) -> None:
            if (error := answers.pop(0)) is not None:
                raise error

    monkeypatch.setattr(outdated, "SchemaWatch", Watch)
    monkeypatch.setattr(outdated, "_LOOK_EVERY_S", 0.0)
    state = SimpleNamespace(
        headrace=SimpleNamespace(database=None), outdated=None, stop=lambda: stopped.append(True)
    )

    app: Any = SimpleNamespace(state=state)
    anyio.run(outdated.end_when_outdated, app)

    assert (answers, stopped) == ([], [True])
    assert state.outdated is mismatch
