"""Rows of jobs in a state of one's choice, and the statements that change them."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from headrace.engine.gating.gate import CRASH_BUDGET
from headrace.model.ids import new_id
from headrace.store.attempts import AttemptStore, Claimed
from headrace.store.database import Database
from tests.support.processes import wait_until

_FINAL = ("completed", "failed", "cancelled", "skipped")


class Rows:
    """One control database, seen through `Database` and a worker's `AttemptStore`."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.database = Database(database_url, application_name="headrace:tests")
        self.store = AttemptStore(database_url, "tests")

    def close(self) -> None:
        self.store.drop()
        self.database.close()

    def wait_for_a_lock(self) -> None:
        """Wait until a statement in this database waits for a lock."""
        wait_until(
            lambda: self.sql(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ),
            what="a statement that waits",
        )

    def sql(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        from tests.support.servers import connect

        opened = connect(self.url)
        with opened.cursor() as cursor:
            cursor.execute(statement, values or None)
            found = []
            if cursor.description:
                names = [column.name for column in cursor.description]
                found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        opened.close()
        return found

    def add(
        self,
        status: str = "queued",
        *,
        upstream: Sequence[UUID] = (),
        rule: str = "all_success",
        attempt: int | None = None,
        job_class: str = "tests.support.jobs_effects.NoopJob",
    ) -> UUID:
        """Insert a job as if it had come to `status` by itself."""
        job_id = new_id()
        open_ones = [one for one in upstream if self.status(one) not in _FINAL]
        began = status in ("started", "retrying", "completed", "failed")
        self.sql(
            "INSERT INTO headrace.job (id, job_class, status, queue, timeout_s, retry, attempt,"
            " trigger_rule, deps_left, queued_at, worker, started_at)"
            " VALUES (%(id)s, %(job_class)s, %(status)s, 'medium', 60, %(retry)s, %(attempt)s,"
            " %(rule)s, %(left)s, clock_timestamp(), 'tests',"
            " CASE WHEN %(began)s THEN clock_timestamp() END)",
            id=str(job_id),
            job_class=job_class,
            status=status,
            retry=json.dumps({"limit": 3}),
            attempt=int(began) if attempt is None else attempt,
            rule=rule,
            left=len(open_ones),
            began=began,
        )
        for one in upstream:
            self.sql(
                "INSERT INTO headrace.job_dependency VALUES (%(up)s, %(id)s);"
                "UPDATE headrace.job SET dependents = dependents + 1 WHERE id = %(up)s",
                up=str(one),
                id=str(job_id),
            )
        return job_id

    def row(self, job_id: UUID) -> dict[str, Any]:
        row = self.database.row("job", id=job_id)
        assert row is not None
        return dict(row)

    def status(self, job_id: UUID) -> str:
        return str(self.row(job_id)["status"])

    def claimed(self, job_id: UUID, attempt: int | None = None) -> Claimed:
        """What a worker that has claimed the job would hold; nothing is checked."""
        row = self.row(job_id)
        number = row["attempt"] if attempt is None else attempt
        return Claimed.of({**row, "retry": json.dumps(row["retry"]), "attempt": number})

    def lose(self, job_id: UUID, attempt: int, outcome: str = "crashed") -> list[dict[str, Any]]:
        return self.store.rows(
            "lose_attempts",
            attempts=json.dumps([{"id": str(job_id), "attempt": attempt}]),
            outcome=outcome,
            error="lost",
            crash_budget=CRASH_BUDGET,
        )

    def fail(self, job_id: UUID, attempt: int, retry_in: float | None = None) -> list[Any]:
        return self.store.rows(
            "fail_attempt",
            id=job_id,
            attempt=attempt,
            outcome="failed",
            error="bad",
            traceback="",
            retry_in=retry_in,
        )
