"""How often a running program looks at the schema's version."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.store import schema_watch
from headrace.store.schema_watch import SchemaWatch


def test_the_schema_is_looked_at_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [100.0], []
    monkeypatch.setattr("headrace.store.schema_watch.time.monotonic", lambda: now[0])

    def schema() -> Any:
        looks.append(now[0])
        return SimpleNamespace(newer=False)

    database: Any = SimpleNamespace(schema=schema)
    watch = SchemaWatch(database)
    for now[0] in (100.0, 104.9, 105.0, 105.1, 109.9, 110.0, 200.0, 200.0):
        watch.look()

    assert looks == [105.0, 110.0, 200.0]


def test_a_newer_schema_that_does_not_admit_this_version_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class NewerError(Exception):
        pass

    def require() -> None:
        raise NewerError

    monkeypatch.setattr(schema_watch, "_EVERY_S", -1.0)
    found = SimpleNamespace(newer=True, require=require)
    database: Any = SimpleNamespace(schema=lambda: found)

    with pytest.raises(NewerError):
        SchemaWatch(database).look()

    found.newer = False
    SchemaWatch(database).look()
