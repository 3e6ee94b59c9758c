"""Runs jobs and pipelines in a test as workers run them, without daemon, worker and Redis.

    with database() as db:
        outcome = run_job(RefreshTotals, {"region": "eu"}, database=db)
        assert outcome.status == "completed"
        assert db.rows("select region from mart.totals") == [{"region": "eu"}]

        run = run_pipeline("daily", {"day": "2025-01-31"}, database=db)
        assert run.steps["refresh"].result == {"region": "eu"}

"Testing jobs and pipelines" in docs/guide/testing.md says what is as in a worker and what is not.
"""

from pathlib import Path

from headrace.jobapi import former_names
from headrace.store.fresh_database import FreshDatabase
from headrace.store.fresh_database import fresh_database as database
from headrace.testing.job_run import JobOutcome, run_job
from headrace.testing.pipeline_run import RunOutcome, StepOutcome, run_pipeline

__all__ = [
    "FreshDatabase",
    "JobOutcome",
    "RunOutcome",
    "StepOutcome",
    "database",
    "run_job",
    "run_pipeline",
]

# A project's job files may name what they import as they do under a worker, and a test may import
# them: `from jobs.refresh_totals import RefreshTotals`.
former_names.answer_for(Path.cwd() / "jobs")
