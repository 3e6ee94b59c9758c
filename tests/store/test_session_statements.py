"""Sessions: those that are ended, those that hold a lock, and how many there may be."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg2
import pytest

from headrace.store.embedded import Servers
from headrace.store.statements import STATEMENTS
from tests.support.processes import wait_until
from tests.support.rows import Rows
from tests.support.run_rows import RunRows
from tests.support.servers import connect, create_database, database_name, drop_database


@pytest.fixture
def made(rows: Rows) -> RunRows:
    return RunRows(rows)


@contextmanager
def session(url: str, *settings: str) -> Iterator[Any]:
    """Open a session and run statements in it; its cursor is given."""
    line = connect(url)
    with line.cursor() as cursor:
        for one in settings:
            cursor.execute(one)
        yield cursor
    line.close()


def of_role(role: str, url: str, *settings: str) -> Any:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return session(urlunsplit(parts._replace(netloc=f"{role}:x@{host}")), *settings)


def named(url: str, name: str) -> Any:
    return session(url, f"SET application_name = '{name}'")


def signed(url: str, name: str, kind: int = 1751478627) -> Any:
    """Open a session that is known by its lock, as where the URL names its sessions."""
    return session(
        url,
        "SET application_name = 'by the url'",
        f"SELECT pg_advisory_lock_shared({kind}, hashtext('{name}'))",
    )


def pid_of(cursor: Any) -> int:
    return int(cursor.connection.get_backend_pid())


def left(made: RunRows, *cursors: Any) -> list[bool]:
    """Return which sessions go on, once as many have ended as were told to."""
    found = made.rows.sql(
        "SELECT pid FROM pg_stat_activity WHERE pid = ANY (%(pids)s)",
        pids=[pid_of(one) for one in cursors],
    )
    alive = {row["pid"] for row in found}
    return [pid_of(one) in alive for one in cursors]


def test_a_session_is_ended_by_its_number_if_it_is_still_the_workers(made: RunRows) -> None:
    url = made.rows.url
    with ExitStack() as stack:
        by_name, by_sign, same_name, other, other_kind = (
            stack.enter_context(one)
            for one in (
                named(url, "w"), signed(url, "w"), named(url, "w"), signed(url, "v"),
                signed(url, "w", kind=1),
            )
        )  # fmt: skip
        for one in (other, other_kind, by_name, by_sign):
            made.rows.database.rows("terminate_backend", pid=pid_of(one), application_name="w")
        cursors = (by_name, by_sign, same_name, other, other_kind)
        wait_until(lambda: left(made, *cursors)[:2] == [False, False], what="their end")
        assert left(made, *cursors) == [False, False, True, True, True]


def test_the_sessions_of_lost_workers_are_ended_in_this_database_and_no_others(
    made: RunRows, empty_database: str
) -> None:
    url = made.rows.url
    role = f"{database_name(url)}_role"
    made.rows.sql(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    with ExitStack() as stack:
        cursors = [
            stack.enter_context(one)
            for one in (
                named(url, "w"), signed(url, "w"), named(url, "also"),
                named(url, "x"), signed(url, "x"), signed(url, "w", kind=1),
                named(empty_database, "w"), signed(empty_database, "w"),
                of_role(role, url, "SET application_name = 'w'"),
            )
        ]  # fmt: skip
        with made.rows.database.transaction() as tx:
            tx.connection.exec_driver_sql("SET LOCAL application_name = 'w'")
            (told,) = tx.rows("terminate_backends", application_names=["w", "also"])
        wait_until(lambda: not any(left(made, *cursors)[:3]), what="their end")
        assert left(made, *cursors) == [False] * 3 + [True] * 6
        assert told["count"] == 3
    made.rows.sql(f"DROP ROLE {role}")


@pytest.fixture
def twin(servers: Servers, template_database: str) -> Iterator[str]:
    """A database in which the same tables have the same numbers."""
    url = create_database(servers.database_url, template=database_name(template_database))
    yield url
    drop_database(servers.database_url, url)


def wait_in_vain(cursor: Any) -> None:
    try:
        cursor.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
    except psycopg2.Error:
        return


def test_who_holds_a_lock_is_told_longest_first_of_what_the_statement_names(
    made: RunRows, twin: str
) -> None:
    url = made.rows.url
    made.rows.sql(
        "ALTER TABLE headrace.total SET SCHEMA public; CREATE TABLE held (id int PRIMARY KEY);"
        " CREATE TABLE beside (id int)"
    )
    lock = "SELECT FROM public.held"
    words = ["held", "held_pkey", "job", "pg_class", "total"]
    with made.rows.database.transaction() as tx, ExitStack() as stack:
        tx.connection.exec_driver_sql(lock)
        elsewhere = stack.enter_context(session(twin, "BEGIN", "SELECT FROM headrace.total"))
        own, waiting = (stack.enter_context(session(url, "BEGIN")) for _ in range(2))
        waiting.execute("SELECT now()")
        own.execute(lock)
        for other in ("beside", "headrace.job", "pg_class"):
            stack.enter_context(session(url, "BEGIN", f"SELECT FROM {other}"))
        holders = [stack.enter_context(session(url)) for _ in range(4)]
        for one in reversed(holders):
            one.execute("BEGIN")
            one.execute("SET LOCAL application_name = 'prog'")
            one.execute(lock)
        waiter = Thread(target=wait_in_vain, args=(waiting,))
        waiter.start()
        made.rows.wait_for_a_lock()
        told = tx.rows("lock_holders", words=words, pid=pid_of(own))
        assert pid_of(elsewhere) not in {row["pid"] for row in told}
        longest = [pid_of(one) for one in reversed(holders[1:])]
        waiting.connection.cancel()
        waiter.join()

    assert [(row["relation"], row["pid"], row["program"], row["state"]) for row in told] == [
        ("public.held", pid, "prog", "idle in transaction") for pid in longest
    ]


def _others(admin: Any, pid: int) -> tuple[int, int]:
    """Return how many sessions there are beside one of them, and how many in this database."""
    admin.execute(
        "SELECT count(*), count(*) FILTER (WHERE datname = current_database())"
        "  FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> %s",
        (pid,),
    )
    everywhere, here = admin.fetchone()
    return everywhere, here


def test_each_limit_is_told_with_the_sessions_that_count_for_it(
    made: RunRows, empty_database: str
) -> None:
    url, here, far = made.rows.url, database_name(made.rows.url), database_name(empty_database)
    role, neighbour = f"{here}_role", f"{here}_other"
    made.rows.sql(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 7;"
        f"CREATE ROLE {neighbour} LOGIN PASSWORD 'x' CONNECTION LIMIT 5"
    )
    for name, most in ((here, 9), (far, 8)):
        made.rows.sql(f'ALTER DATABASE "{name}" CONNECTION LIMIT {most}')

    with ExitStack() as stack:
        for one in (of_role(role, url), of_role(role, empty_database), of_role(neighbour, url)):
            stack.enter_context(one)
        admin = stack.enter_context(session(url))
        asking = stack.enter_context(of_role(role, url))
        # Those that were closed a moment ago may still be going: told between two equal counts.
        counted, again = None, _others(admin, pid_of(asking))
        while counted != again:
            counted = again
            asking.execute(STATEMENTS["connection_limits"].sql)
            told = {row[0]: row[1:] for row in asking.fetchall()}
            again = _others(admin, pid_of(asking))
        everywhere, in_this = again
        unlimited = made.rows.database.rows("connection_limits")
        admin.execute(f"ALTER ROLE {role} CONNECTION LIMIT 0")
        admin.execute(f'ALTER DATABASE "{here}" CONNECTION LIMIT 0')
        asking.execute(STATEMENTS["connection_limits"].sql)
        none_left = [row[1] for row in asking.fetchall()]
        admin.execute(f'ALTER DATABASE "{here}" CONNECTION LIMIT -1')

    (settings,) = made.rows.sql(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int AS most"
    )
    assert told == {
        "the server": (settings["most"], everywhere),
        f"the role {role}": (7, 2),
        f"the database {here}": (9, in_this),
    }
    assert none_left[1:] == [0, 0]
    assert {row["place"] for row in unlimited} == {"the server", f"the database {here}"}
    made.rows.sql(f"DROP ROLE {role}; DROP ROLE {neighbour}")
    assert [row["place"] for row in made.rows.database.rows("connection_limits")] == ["the server"]
