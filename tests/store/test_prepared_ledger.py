"""A target's connection has the ledger's statements prepared; whatever a job does to that."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from headrace.model.connection import NamedConnection
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import Claimed
from headrace.store.sessions import JobSessions
from headrace.template.guard import JobGuard
from tests.support.rows import Rows

Run = Callable[..., Claimed]
_PREPARED = "SELECT name FROM pg_prepared_statements WHERE name LIKE '%ledger' ORDER BY 1"


@pytest.fixture
def target(empty_database: str) -> Iterator[Any]:
    opened = psycopg2.connect(empty_database)
    opened.autocommit = True
    with opened.cursor() as cursor:
        cursor.execute("CREATE TABLE effect (n integer)")
        yield cursor
    opened.close()


@pytest.fixture
def run(rows: Rows, empty_database: str) -> Iterator[Run]:
    """Run a job's code on the target, and commit there; returns the job."""
    sessions = JobSessions(rows.store, {"target": NamedConnection(empty_database)}, JobGuard(), "w")

    def committed(work: Callable[[Session], Any], job: Claimed | None = None) -> Claimed:
        found = job or rows.store.claim(str(rows.add("queued")), 0)
        assert found is not None
        sessions.begin(found.id, found.attempt)
        try:
            with sessions.session("target") as session:
                work(session)
            sessions.commit_targets()
        finally:
            sessions.roll_back()
            sessions.clean()
        return found

    yield committed
    sessions.dirty = sessions.used = True
    sessions.clean()


def insert(session: Session) -> None:
    session.execute(text("INSERT INTO effect VALUES (1)"))


def counted(target: Any, table: str) -> int:
    target.execute(f"SELECT count(*) FROM {table}")
    return int(target.fetchone()[0])


def test_they_are_planned_once_and_a_job_that_was_applied_is_found_by_them(
    run: Run, target: Any
) -> None:
    seen: list[list[str]] = []

    run(insert)
    job = run(lambda session: seen.append(list(session.scalars(text(_PREPARED)))))
    with pytest.raises(EffectApplied):
        run(insert, job)
    run(insert)

    assert seen == [["hr_begin_in_ledger", "hr_sign_ledger"]]
    assert counted(target, "effect") == 2
    assert counted(target, "headrace.ledger") == 3


def test_a_job_that_deallocates_them_is_entered_all_the_same(run: Run, target: Any) -> None:
    def deallocate(session: Session) -> None:
        insert(session)
        session.execute(text("DEALLOCATE ALL"))

    run(insert)
    run(deallocate)
    run(insert)

    assert counted(target, "headrace.ledger") == 3


def test_where_the_ledger_was_emptied_out_it_is_made_anew(run: Run, target: Any) -> None:
    run(insert)
    target.execute("DROP SCHEMA headrace CASCADE")
    run(insert)

    assert counted(target, "headrace.ledger") == 1


def test_a_search_path_of_the_jobs_own_leads_to_no_other_function(run: Run, target: Any) -> None:
    target.execute(
        "CREATE SCHEMA odd; CREATE FUNCTION odd.pg_current_xact_id_if_assigned() RETURNS xid8"
        " LANGUAGE sql AS $$ SELECT '1'::xid8 $$"
    )

    def work(session: Session) -> None:
        session.execute(text("SET search_path = odd, pg_catalog, public"))
        insert(session)

    run(work)
    run(work)

    assert counted(target, "headrace.ledger") == 2
