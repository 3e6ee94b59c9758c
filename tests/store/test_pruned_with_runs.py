"""What goes with a run in the statement that deletes it, before anything else tidies up."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.run_rows import RunRows

_ENDED: dict[str, Any] = {"status": "completed", "finished_at": "2026-07-01"}
_GIVEN: dict[str, Any] = {"after": UUID(int=0), "until": UUID(int=(1 << 128) - 1), "limit": 9}


@pytest.fixture
def old(made: RunRows) -> UUID:
    """A run that ended before the totals' mark."""
    made.rows.sql("UPDATE headrace.total_mark SET until = '2026-07-02'")
    return made.run(**_ENDED)


def prune(made: RunRows) -> None:
    (told,) = made.rows.database.rows("prune_runs", older_than_s=-1e9, **_GIVEN)
    assert told["runs"] == 1


def test_attempts_and_lines_go_with_the_run_of_their_job(made: RunRows, old: UUID) -> None:
    for run in (old, made.run()):
        job = made.job(run, **_ENDED)
        made.rows.sql(
            "INSERT INTO headrace.job_attempt (job_id, attempt, outcome)"
            " VALUES (%(id)s, 1, 'failed');"
            "INSERT INTO headrace.job_log VALUES (%(id)s, 1, 1, now(), 'info', 'x')",
            id=str(job),
        )

    prune(made)

    for table in ("job_attempt", "job_log"):
        left = made.rows.sql(f"SELECT job_id FROM headrace.{table}")
        assert [str(row["job_id"]) for row in left] == [str(job)], table


def test_notes_of_what_a_run_has_started_go_with_it_and_of_what_started_it_stay(
    made: RunRows, old: UUID
) -> None:
    young = made.run()
    notes = {"by-old": (old, young), "by-young": (young, old), "both": (old, old)}
    for pipeline, (upstream, run) in notes.items():
        made.rows.sql(
            "INSERT INTO headrace.triggered (pipeline, upstream_run, outcome, run_id)"
            " VALUES (%(pipeline)s, %(upstream)s, 'started', %(run)s)",
            pipeline=pipeline,
            upstream=str(upstream),
            run=str(run),
        )

    prune(made)

    left = made.rows.sql("SELECT pipeline, run_id FROM headrace.triggered")
    assert left == [{"pipeline": "by-young", "run_id": None}]
