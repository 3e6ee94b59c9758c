"""Sessions of forecasts: what they refuse, and that nothing of theirs stays."""

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from headrace.errors import ConfigError, JobFailure
from headrace.model.connection import NamedConnection
from headrace.store.looking_sessions import LookingSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def looking(rows: Rows) -> Iterator[LookingSessions]:
    rows.sql("CREATE TABLE public.effect (n integer)")
    connections = {
        "target": NamedConnection(rows.url),
        "lake": NamedConnection("duckdb:///x.duckdb"),
        "shop": NamedConnection("sqlite:///x.db"),
    }
    made = LookingSessions(connections, lambda: rows.url, JobGuard(), 2.5)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("way", "given", "said"),
    [
        ("statements", (), "a forecast runs no statements"),
        ("autocommit", (), "a forecast commits nothing"),
        ("aside", ("target",), "a forecast commits nothing"),
        ("batch", ("label",), "a forecast commits nothing"),
        ("snapshot", ("target",), "a forecast exports no snapshot"),
        ("other", ("lake",),
         "a forecast looks at PostgreSQL only, and the connection lake is DuckDB"),
        ("other_alone", ("shop",),
         "a forecast looks at PostgreSQL only, and the connection shop is SQLite"),
        ("session", ("lake",),
         "a forecast looks at PostgreSQL only, and the connection lake is DuckDB"),
    ],
)  # fmt: skip
def test_what_a_forecast_does_not_do_is_refused(
    looking: LookingSessions, way: str, given: tuple[str, ...], said: str
) -> None:
    with pytest.raises(JobFailure) as told:
        getattr(looking, way)(*given).__enter__()
    assert str(told.value) == said


def test_looks_at_one_database_are_of_one_transaction_until_it_is_undone(
    looking: LookingSessions,
) -> None:
    with looking.session("target") as session:
        session.execute(text("INSERT INTO public.effect VALUES (1)"))
    with looking.session("target") as session:
        assert session.execute(text("SELECT n FROM public.effect")).all() == [(1,)]
    assert looking._engine("target") is looking._engine("target")
    looking.roll_back()
    with looking.session("target") as session:
        assert session.execute(text("SELECT n FROM public.effect")).all() == []


def test_a_connection_that_nobody_has_named_is_refused(looking: LookingSessions) -> None:
    with pytest.raises(ConfigError, match=r'^no connection is named "other"$'):
        looking.session("other").__enter__()

    assert [looking.kind_of(name) for name in (None, "target", "lake", "shop", "other")] == [
        "postgresql", "postgresql", "duckdb", "sqlite", "postgresql",
    ]  # fmt: skip


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("name", [None, "target"])
def test_a_look_has_its_limits_and_leaves_nothing(
    looking: LookingSessions, rows: Rows, name: str | None, read_only: bool
) -> None:
    with looking.session(name, read_only=read_only) as session:
        limits = [session.scalar(text(f"SHOW {one}_timeout")) for one in ("statement", "lock")]
        if not read_only:
            session.execute(text("INSERT INTO public.effect VALUES (1)"))
    looking.roll_back()

    assert limits == ["2500ms", "1s"]
    assert rows.sql("SELECT n FROM public.effect") == []


def test_a_look_works_as_the_role_that_its_step_names(looking: LookingSessions, rows: Rows) -> None:
    rows.sql(
        "DO $$ BEGIN CREATE ROLE looker; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        " GRANT looker TO CURRENT_USER"
    )
    asked = text("SELECT current_user::text")
    looking.step_role = ("target", "looker")

    with looking.session("target") as session, looking.session() as beside:
        assert session.scalar(asked) == "looker"
        assert beside.scalar(asked) != "looker"
    looking.roll_back()
    with looking.session("target", read_only=True) as session:
        assert session.scalar(asked) == "looker"
    looking.step_role = None
    with looking.session("target") as session:
        assert session.scalar(asked) != "looker"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_role_that_is_none_is_told_and_the_next_look_works(
    looking: LookingSessions, rows: Rows, read_only: bool
) -> None:
    looking.step_role = ("target", "no such role")

    with pytest.raises(psycopg2.Error, match='role "no such role" does not exist') as told:
        looking.session("target", read_only=read_only).__enter__()

    assert looking._engines["target"].pool.checkedout() == 0, told  # type: ignore[attr-defined]
    looking.step_role = None
    with looking.session("target") as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_a_connection_that_is_lost_beneath_a_look_is_replaced(
    looking: LookingSessions, rows: Rows
) -> None:
    def work() -> Any:
        with looking.session("target") as session:
            pid = session.scalar(text(PID))
            rows.sql(f"SELECT pg_terminate_backend({pid}, 60000)")
            session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError):
        work()
    looking.roll_back()

    with looking.session("target") as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_a_look_whose_transaction_cannot_be_undone_gives_no_connection_back(
    looking: LookingSessions,
) -> None:
    with looking.session("target") as session:
        session.execute(text("SELECT 1"))
    held: Any = looking._held["target"]
    held.raw.close()

    looking.roll_back()

    assert held.line.invalidated
    assert looking._held == {}


def test_the_server_is_told_that_a_plan_asks(looking: LookingSessions) -> None:
    for name in (None, "target"):
        with looking.session(name) as session:
            assert session.execute(text("SHOW application_name")).scalar() == "headrace:plan"
