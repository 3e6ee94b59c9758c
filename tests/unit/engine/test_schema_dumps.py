"""Before its schema changes, an embedded database is dumped; a server of the user's own is not."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.engine.application import Headrace
from headrace.store import embedded
from headrace.store.migrations import LATEST


@pytest.mark.parametrize("own", [None, "postgresql://own/db"])
def test_only_an_embedded_database_is_dumped_before_an_upgrade(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    own: str | None,
) -> None:
    settings = Settings(project=tmp_path, home=tmp_path, pipelines=tmp_path, database_url=own)
    headrace = Headrace(settings, "postgresql://somewhere/db", "redis://r", ExitStack(), "tests")
    dumped: list[tuple[Path, str]] = []

    def dump(home: Path, name: str) -> Path:
        dumped.append((home, name))
        return home / "kept"

    monkeypatch.setattr(embedded, "dump", dump)

    headrace._keep_dump("7")

    assert dumped == ([(tmp_path, f"schema-7-before-{LATEST}")] if own is None else [])
    told = f"before the schema upgrade, a dump of the database was stored in {tmp_path / 'kept'}"
    assert caplog.messages == ([told] if own is None else [])
