"""The ways of the driver's own cursors that a job may take, and what the server says meanwhile."""

import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2 import sql as composed
from psycopg2.extensions import AsIs

from headrace.errors import RefusedSql
from headrace.store import notices, parsing
from headrace.store.notices import open_waits
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows

# Says a notice for each row, at once.
NOISY = """CREATE FUNCTION public.noisy(n integer) RETURNS integer LANGUAGE plpgsql AS
$$ BEGIN RAISE WARNING 'row %', n; RETURN n; END $$"""


@pytest.fixture
def said() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def raw(rows: Rows, said: list[tuple[str, int]]) -> Iterator[Any]:
    """The driver's connection of an attempt that is under way."""
    rows.sql(f"CREATE TABLE public.effect (n integer); {NOISY}")
    sessions = JobSessions(rows.store, {}, JobGuard(), "w")
    sessions.say = lambda text, level: said.append((text, level))
    sessions.begin(uuid4(), 1)
    with sessions.session() as session:
        found = session.connection().connection.dbapi_connection
    yield found
    open_waits(False)
    sessions.roll_back()


def effects(raw: Any) -> list[int]:
    with raw.plain() as cursor:
        cursor.execute("SELECT n FROM public.effect ORDER BY n")
        return [row[0] for row in cursor.fetchall()]


def test_one_statement_may_be_sent_with_many_values(raw: Any) -> None:
    with raw.cursor() as cursor:
        cursor.executemany("INSERT INTO public.effect VALUES (%s)", ((n,) for n in (1, 2)))
        assert effects(raw) == [1, 2]

        with pytest.raises(RefusedSql, match=r"^one statement is wanted here, not 2$"):
            cursor.executemany("DELETE FROM public.effect; SELECT %s", [(1,), (2,)])
        with pytest.raises(RefusedSql, match="COMMIT"):
            cursor.executemany("%s", [(AsIs("SELECT 1"),), (AsIs("COMMIT"),)])
    assert effects(raw) == [1, 2]


@pytest.mark.parametrize("way", ["executemany", "callproc", "copy_expert", "execute"])
def test_quotes_mean_the_same_after_each_way(
    raw: Any, said: list[tuple[str, int]], way: str
) -> None:
    with raw.plain() as cursor:
        cursor.execute(
            "CREATE FUNCTION public.hidden() RETURNS text LANGUAGE sql AS $$ SELECT"
            " pg_catalog.set_config('standard_' || 'conforming_strings', 'off', true) $$"
        )
    given: tuple[Any, ...] = {
        "execute": ("SELECT public.hidden()",),
        "executemany": ("SELECT public.hidden(), %s", [(1,)]),
        "callproc": ("public.hidden",),
        "copy_expert": ("COPY (SELECT public.hidden()) TO STDOUT", StringIO()),
    }[way]
    with raw.cursor() as cursor:
        refusal = "^standard_conforming_strings is off and has to stay on in a job's session"
        with pytest.raises(RefusedSql, match=refusal):
            getattr(cursor, way)(*given)
        with pytest.raises(RefusedSql, match=refusal):
            cursor.callproc("public.noisy", [1])
    assert said == [], "it was sent"


def test_a_function_is_called_by_its_name(raw: Any) -> None:
    with raw.cursor() as cursor:
        assert cursor.callproc("abs", [-7]) == [-7]
        assert cursor.fetchone() == (7,)

        told = r"^'abs\(1\); COMMIT; SELECT abs' is not the name of a function$"
        with pytest.raises(RefusedSql, match=told):
            cursor.callproc("abs(1); COMMIT; SELECT abs", [1])


def test_a_copy_is_one_statement(raw: Any) -> None:
    with raw.cursor() as cursor:
        cursor.copy_expert("COPY public.effect FROM STDIN", StringIO("1\n2\n"))
        with pytest.raises(RefusedSql, match="COPY from or to the client has no data here"):
            cursor.copy_expert("COPY public.effect FROM STDIN; SELECT 1", StringIO("3\n"))
    assert effects(raw) == [1, 2]


def test_a_text_that_is_composed_is_looked_at_as_it_is_sent(raw: Any) -> None:
    insert = composed.SQL("INSERT INTO {} VALUES ({})").format(
        composed.Identifier("public", "effect"), composed.Literal(1)
    )
    with raw.cursor() as cursor:
        cursor.execute(insert)
        cursor.execute(b"INSERT INTO public.effect VALUES (%s)", (2,))
        cursor.execute(" %s", (AsIs("INSERT INTO public.effect VALUES (3)"),))
        for refused in (composed.SQL("COMMIT"), composed.SQL("{}").format(composed.SQL("COMMIT"))):
            with pytest.raises(RefusedSql, match="COMMIT"):
                cursor.execute(refused)
        with pytest.raises(RefusedSql, match="COMMIT"):
            cursor.execute(" %s", (AsIs("COMMIT"),))
    assert effects(raw) == [1, 2, 3]


def test_a_cursor_class_that_is_watched_already_is_taken_as_it_is(raw: Any) -> None:
    first = raw.cursor()
    again = raw.cursor(cursor_factory=type(first))

    assert type(again) is type(first)
    with pytest.raises(RefusedSql, match="COMMIT"):
        again.execute("COMMIT")


@pytest.mark.parametrize("open_", [True, False])
def test_what_is_said_meanwhile_is_heard_in_each_way(
    raw: Any, said: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch, open_: bool
) -> None:
    waits: list[Any] = []
    wait = notices._wait

    def counted(line: Any) -> None:
        waits.append(line)
        wait(line)

    monkeypatch.setattr(notices, "_wait", counted)
    open_waits(open_)
    query = "SELECT public.noisy(n) FROM generate_series(1, 4) n"

    def heard() -> list[str]:
        texts = [text.removeprefix("WARNING: row ")[:1] for text, _ in said]
        assert {level for _, level in said} <= {logging.WARNING}
        assert bool(waits) is open_
        said.clear()
        waits.clear()
        return texts

    with raw.cursor() as cursor:
        cursor.executemany("SELECT public.noisy(%s)", [(1,), (2,)])
        assert heard() == ["1", "2"]
    with raw.cursor(name="rows") as cursor:
        cursor.execute(query)
        waits.clear()
        assert cursor.fetchmany(2) == [(1,), (2,)]
        assert heard() == ["1", "2"]
        assert cursor.fetchall() == [(3,), (4,)]
        assert heard() == ["3", "4"]
    with raw.cursor() as cursor:
        cursor.execute(query)
        assert heard() == ["1", "2", "3", "4"]
        assert cursor.fetchmany(1) == [(1,)]
        assert cursor.fetchall() == [(2,), (3,), (4,)]


# -- what PostgreSQL reads as several statements -----------------------------------------


def test_several_statements_are_refused_and_none_is_run(raw: Any) -> None:
    text = "INSERT INTO public.effect VALUES (1); SELECT '" + "x" * 300 + "'"

    with pytest.raises(RefusedSql) as told:
        parsing.refuse_several(raw, text.encode())

    assert str(told.value) == (
        "PostgreSQL reads several statements where one was expected; nothing of them was run."
        f" Give each a text of its own: {text[:200]}"
    )
    with raw.plain() as cursor:
        cursor.execute("ROLLBACK TO SAVEPOINT " + raw.mark.savepoint)
    assert effects(raw) == []


@pytest.mark.parametrize(
    "text",
    ["SELEC 'a;b'", "SELECT ';' FROM nowhere", "SELECT 'é;', lenght('x')", "SELECT ';'::integer"],
)
def test_a_mistake_is_told_as_if_the_text_had_been_run(rows: Rows, raw: Any, text: str) -> None:
    plain: Any = psycopg2.connect(rows.url)
    with plain.cursor() as cursor, pytest.raises(psycopg2.Error) as run:
        cursor.execute(text)
    plain.close()

    with raw.cursor() as cursor, pytest.raises(psycopg2.Error) as parsed:
        cursor.execute(text)

    one, other = run.value, parsed.value
    assert type(other).__name__ == type(one).__name__
    assert isinstance(other, type(one))
    assert (str(other), other.pgcode, other.pgerror) == (str(one), one.pgcode, one.pgerror)
    for name in parsing._FIELDS:
        assert getattr(other.diag, name) == getattr(one.diag, name), name
    assert other.sent == text.encode()  # type: ignore[attr-defined]


def test_a_code_that_nobody_knows_is_an_error_of_the_database() -> None:
    found = dict.fromkeys(parsing._FIELDS) | {
        "severity": "ERROR", "sqlstate": "ZZ123", "message_primary": "odd",
    }  # fmt: skip

    error = parsing._error(found, "ERROR:  odd", b"SELECT 1")

    assert isinstance(error, psycopg2.DatabaseError)
    assert (error.pgcode, str(error), error.diag.message_primary) == (
        "ZZ123", "odd", "odd",
    )  # fmt: skip
    with pytest.raises(KeyError):
        errors.lookup("ZZ123")


def test_a_connection_that_is_gone_is_told_as_the_driver_would(rows: Rows, raw: Any) -> None:
    rows.sql(f"SELECT pg_terminate_backend({raw.info.backend_pid}, 60000)")

    with pytest.raises(psycopg2.OperationalError) as told:
        parsing.refuse_several(raw, b"SELECT ';'")

    assert "terminating connection due to administrator command" in parsing.last_said(raw)
    assert "server closed the connection" in str(told.value)
    raw.close()
    with pytest.raises(psycopg2.InterfaceError, match=r"^connection already closed$"):
        parsing.refuse_several(raw, b"SELECT ';'")
    assert parsing.last_said(raw) == ""
