"""The parts of an installation, put together for a program: its schema, its dispatcher, its end."""

from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import services
from headrace.declarations.config import Settings
from headrace.engine import application
from headrace.engine.application import Headrace, local_dispatcher
from headrace.errors import SchemaMismatch, StoreUnavailable


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path / "home", tmp_path / "pipelines")


def test_a_home_of_its_own_gets_its_schema_and_a_server_is_left_as_it_is(
    settings: Settings, empty_database: str, redis_url: str
) -> None:
    def installation(given: Settings) -> Headrace:
        return Headrace(given, empty_database, redis_url, ExitStack(), "tests")

    named = installation(replace(settings, database_url=empty_database))
    with named, pytest.raises(SchemaMismatch, match="headrace db upgrade"):
        named.require_schema()
    with installation(settings) as embedded:
        assert embedded.schema().version is None
        embedded.require_schema()
        assert embedded.schema().usable
        embedded.require_schema()


def test_a_program_of_one_s_own_dispatches_by_its_own_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: Any = SimpleNamespace(dispatcher=object())
    monkeypatch.setattr(application, "connect", lambda: connected)

    assert local_dispatcher() is connected.dispatcher


@pytest.mark.parametrize("away", [True, False])
def test_the_service_is_there_whether_postgresql_is_and_ends_well(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, away: bool
) -> None:
    done: list[str] = []

    def require_schema() -> None:
        done.append("schema")
        if away:
            raise StoreUnavailable("away")

    headrace: Any = SimpleNamespace(require_schema=require_schema)
    monkeypatch.setattr(services, "settings_of", lambda _given: settings)
    monkeypatch.setattr(services, "speak_as", lambda *_given: None)
    monkeypatch.setattr(services, "_tell_newer", lambda _headrace: done.append("newer"))
    monkeypatch.setattr("headrace.web.serve.listen", lambda _settings: nullcontext())
    monkeypatch.setattr("headrace.web.serve.serve", lambda *_given: done.append("served"))
    monkeypatch.setattr(application, "connect", lambda *_given, **_more: nullcontext(headrace))

    assert services.web(SimpleNamespace()) == 0  # type: ignore[arg-type]

    assert done == (["schema", "served"] if away else ["schema", "newer", "served"])
