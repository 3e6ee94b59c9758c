"""Hypothesis walks jobs through every statement in any order; a model says what must come out."""

from collections import defaultdict
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from headrace.engine.gating.gate import CRASH_BUDGET
from headrace.errors import StaleAttempt
from headrace.store.attempts import Claimed
from tests.support.generated import walk
from tests.support.invariants import install_audit, violations
from tests.support.rows import Rows

EFFECT_JOB = "tests.support.jobs_effects.EffectJob"


class Attempts(RuleBasedStateMachine):
    """Jobs with an effect each; several attempts of one job may believe that it is theirs."""

    rows: Rows
    jobs = Bundle("jobs")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.rows.sql(
            "TRUNCATE headrace.job, headrace.job_attempt, headrace.job_dependency,"
            " public.effect, audit.job CASCADE"
        )
        self.status: dict[UUID, str] = {}
        self.number: dict[UUID, int] = {}
        self.crashes: dict[UUID, int] = defaultdict(int)

    def _is_current(self, claimed: Claimed) -> bool:
        return self.status[claimed.id] == "started" and self.number[claimed.id] == claimed.attempt

    @rule(target=jobs)
    def dispatch(self) -> UUID:
        job = self.rows.add("queued", job_class=EFFECT_JOB)
        self.status[job], self.number[job] = "queued", 0
        return job

    @rule(target=attempts, job=jobs, behind=st.integers(0, 2))
    def claim(self, job: UUID, behind: int):
        attempt = self.number[job] - behind
        claimed = self.rows.store.claim(str(job), attempt)
        expected = self.status[job] == "queued" and behind == 0
        assert (claimed is not None) == expected
        if claimed is None:
            # An attempt that never was: the statements must refuse it like an old one.
            return self.rows.claimed(job, attempt)
        self.status[job], self.number[job] = "started", attempt + 1
        return claimed

    @rule(claimed=attempts)
    def complete(self, claimed: Claimed) -> None:
        expected = self._is_current(claimed)
        try:
            with self.rows.store.transaction() as tx:
                with tx.raw.cursor() as cursor:
                    cursor.execute(
                        "INSERT INTO public.effect (job_id, attempt) VALUES (%s, %s)",
                        (claimed.id, claimed.attempt),
                    )
                tx.complete(claimed, None)
        except StaleAttempt:
            assert not expected
            return
        assert expected
        self.status[claimed.id] = "completed"

    @rule(claimed=attempts, retry=st.booleans())
    def fail(self, claimed: Claimed, retry: bool) -> None:
        expected = self._is_current(claimed) and self._retries(claimed.id) < 3
        if not expected and self._is_current(claimed):
            return
        found = self.rows.fail(claimed.id, claimed.attempt, 0.0 if retry else None)
        assert bool(found) == expected
        if found:
            self.status[claimed.id] = "retrying" if retry else "failed"

    def _retries(self, job: UUID) -> int:
        return int(self.rows.row(job)["retry_count"])

    @rule(claimed=attempts, outcome=st.sampled_from(["crashed", "released"]))
    def lose(self, claimed: Claimed, outcome: str) -> None:
        expected = self._is_current(claimed)
        assert bool(self.rows.lose(claimed.id, claimed.attempt, outcome)) == expected
        if expected:
            self.crashes[claimed.id] += outcome == "crashed"
            spent = self.crashes[claimed.id] >= CRASH_BUDGET and outcome == "crashed"
            self.status[claimed.id] = "failed" if spent else "queued"

    @rule(job=jobs)
    def cancel(self, job: UUID) -> None:
        found = self.rows.database.rows("cancel_jobs", ids=[job], run_id=None, keep_finally=False)
        expected = self.status[job] in ("waiting", "queued", "started", "retrying")
        assert bool(found) == expected
        if expected:
            self.status[job] = "cancelled"

    @rule(job=jobs)
    def retry(self, job: UUID) -> None:
        with self.rows.database.transaction() as tx:
            found = tx.rows("reopen_jobs", ids=[job])
            tx.rows("recount_waiting", ids=[row["id"] for row in found])
        expected = self.status[job] in ("failed", "cancelled", "skipped")
        assert bool(found) == expected
        if expected:
            self.status[job], self.crashes[job] = "queued", 0

    @rule()
    def due_retries(self) -> None:
        self.rows.database.rows("due_retries")
        for job, status in self.status.items():
            if status == "retrying":
                self.status[job] = "queued"

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        there = self.rows.sql("SELECT id::text, status, attempt FROM headrace.job")
        assert {UUID(row["id"]): (row["status"], row["attempt"]) for row in there} == {
            job: (status, self.number[job]) for job, status in self.status.items()
        }

    def teardown(self) -> None:
        assert not violations(self.rows.url, settled=False)


@pytest.fixture
def audited(rows: Rows) -> Rows:
    install_audit(rows.url)
    return rows


@pytest.mark.slow
@pytest.mark.generated
def test_no_order_of_statements_breaks_an_invariant(audited: Rows) -> None:
    machine = type("Machine", (Attempts,), {"rows": audited})

    walk(machine, cases=20, steps=25)
