"""All settings of a session of ours, on a database where the role has another one for each."""

from contextlib import closing
from typing import Any

import pytest

from headrace.errors import ConfigError
from headrace.store.connect import open_session
from headrace.store.session_settings import Use, Wanted, milliseconds
from tests.support.servers import connect, database_name

_SAID = {
    "client_connection_check_interval": "7s",
    "client_min_messages": "error",
    "datestyle": "German",
    "default_transaction_isolation": "serializable",
    "extra_float_digits": "-3",
    "idle_in_transaction_session_timeout": "7s",
    "idle_session_timeout": "1h",
    "intervalstyle": "iso_8601",
    "lock_timeout": "7s",
    "search_path": "odd, pg_catalog",
    "standard_conforming_strings": "off",
    "statement_timeout": "1h",
    "timezone": "Asia/Tokyo",
    "transaction_timeout": "1h",
}
# What the driver and the copies between databases rely on.
_FIXED = {
    "application_name": "headrace:test",
    "client_encoding": "UTF8",
    "datestyle": "ISO, DMY",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
}
_BOOKKEEPING = {
    "default_transaction_isolation": "read committed",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    "search_path": "pg_catalog, pg_temp",
    "statement_timeout": "0",
    "transaction_timeout": "0",
}
_QUIET = {"client_min_messages": "warning", "timezone": "UTC"}
_OF_JOBS = {
    "client_connection_check_interval": "1s",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}


@pytest.fixture
def odd_database(empty_database: str) -> str:
    """A database with settings of the role, and a function named like one of PostgreSQL's."""
    name = database_name(empty_database)
    shadow = (
        "CREATE FUNCTION odd.jsonb_object_agg(name, text[]) RETURNS jsonb"
        " LANGUAGE sql AS 'SELECT NULL::jsonb'"
    )
    with closing(connect(empty_database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE SCHEMA odd")
        cursor.execute(shadow)
        for setting, value in _SAID.items():
            said = value if setting == "search_path" else f"'{value}'"
            cursor.execute(f'ALTER ROLE CURRENT_USER IN DATABASE "{name}" SET {setting} = {said}')
    return empty_database


@pytest.mark.parametrize(
    ("use", "ours"),
    [
        (Use.OWN, {**_BOOKKEEPING, **_QUIET}),
        (
            Use.SHORT,
            {**_BOOKKEEPING, **_QUIET, "idle_in_transaction_session_timeout": "3s"},
        ),
        (Use.WORKER, {**_BOOKKEEPING, **_OF_JOBS}),
        (Use.TARGET, _OF_JOBS),
    ],
)
def test_a_session_has_these_settings_whatever_its_role_has_there(
    odd_database: str, use: Use, ours: dict[str, str]
) -> None:
    wanted = {**_SAID, **_FIXED, **ours}
    with closing(open_session(odd_database, Wanted(use, "headrace:test"))) as raw:
        found = settings_of(raw, list(wanted))
        assert found == wanted
        assert raw.base.search_path == "odd, pg_catalog"
        assert (raw.base.statement_timeout, raw.base.lock_timeout) == ("1h", "7s")


def test_a_connection_s_own_settings_hold_but_for_what_the_driver_relies_on(
    odd_database: str,
) -> None:
    more = {"statement_timeout": "90s", "timezone": "Europe/Berlin", "datestyle": "SQL"}
    with closing(open_session(odd_database, Wanted(Use.TARGET, "a", more))) as raw:
        found = settings_of(raw, list(more))

    assert found == {**more, "datestyle": "ISO, DMY"}


def test_a_connection_is_given_up_soon_after_its_server_has_fallen_silent(database: str) -> None:
    with closing(open_session(database, Wanted(Use.OWN, "a"))) as raw:
        said = raw.info.dsn_parameters

    assert {name: said[name] for name in _LINE} == _LINE


def test_a_session_that_cannot_be_used_is_closed_while_its_error_is_still_there(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def refuse(raw: Any) -> None:
        opened.append(raw)
        raise ConfigError("not this one")

    monkeypatch.setattr("headrace.store.connect._refuse_encoding", refuse)

    with pytest.raises(ConfigError, match="not this one"):
        open_session(database, Wanted(Use.OWN, "a"))

    assert [raw.closed for raw in opened] == [1]


_LINE = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}


def settings_of(raw: Any, names: list[str]) -> dict[str, str]:
    """Return what holds in a session, as the server shows it."""
    with raw.plain() as cursor:
        cursor.execute(
            "SELECT n, pg_catalog.current_setting(n) FROM pg_catalog.unnest(%s) AS n", (names,)
        )
        return dict(cursor.fetchall())


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0, "0ms"), (0.0004, "1ms"), (0.0125, "12ms"), (2.5, "2500ms"), (1e9, "2147483647ms")],
)
def test_no_time_is_written_as_no_limit_unless_it_is_none(seconds: float, written: str) -> None:
    assert milliseconds(seconds) == written
