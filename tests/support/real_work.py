"""Work as users have it, for `bench/chaos.py`: RunSql here and on targets, jobs that log lines."""

from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from random import Random
from typing import Any
from uuid import UUID

from headrace import jobapi
from headrace.jobs.base import BaseJob
from tests.support.cluster import Cluster
from tests.support.places import run_as_owner
from tests.support.servers import connect

SAYING_JOB = f"{__name__}.SayingJob"
LINES = 3


class SayingJob(BaseJob):
    """Logs three lines and returns: short enough to share a commit with others."""

    def handle(self) -> None:
        for number in range(1, LINES + 1):
            jobapi.logger.info("said %d", number)


def make_table(url: str) -> None:
    """Make the table that the statements write to; no key, so that doubled rows are seen."""
    run_as_owner(url, "CREATE TABLE public.statement (token uuid NOT NULL)")


def statement(chance: Random, targets: Iterable[str | None], reads: float = 0.3) -> dict[str, Any]:
    """Return the arguments of a RunSql job that inserts one row, here or on a target.

    The share `reads` of them has a second statement, with which none shares its transaction.
    """
    text = "insert into public.statement values ({{ params.token }})"
    if chance.random() < reads:
        text += "; select count(*) from public.statement"
    token = str(UUID(int=chance.getrandbits(128), version=4))
    where = chance.choice([None, *targets])
    return {"sql": text, "params": {"token": token}} | ({"connection": where} if where else {})


def faults_of_statements(cluster: Cluster, urls: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the RunSql jobs whose row is not there exactly once if and only if it completed.

    Those come behind them, apart, that have ended otherwise between the commit of their row on a
    target and their completion: its ledger has them (docs/guarantees.md).
    """
    found: Counter[str] = Counter()
    entered: set[str] = set()
    for url in urls:
        with closing(connect(url)) as opened, opened.cursor() as cursor:
            cursor.execute("SELECT token::text FROM public.statement")
            found.update(token for (token,) in cursor.fetchall())
            entered |= _ledger(cursor)
    jobs = cluster.sql(
        "SELECT id, status, attempt, payload #>> '{params,token}' AS token FROM headrace.job"
        " WHERE job_class = 'RunSql' AND payload #>> '{params,token}' IS NOT NULL"
    )
    wrong: list[str] = []
    late: list[str] = []
    for job in jobs:
        rows = found[job["token"]]
        if rows != (job["status"] == "completed"):
            ended = f"RunSql {job['id']} is {job['status']} after {job['attempt']} attempts"
            known = rows == 1 and str(job["id"]) in entered
            (late if known else wrong).append(f"{ended}, with {rows} rows")
    strangers = found.keys() - {job["token"] for job in jobs}
    return wrong + [f"the row {token} belongs to no job" for token in sorted(strangers)], late


def _ledger(cursor: Any) -> set[str]:
    """Return the jobs in a target's ledger, as texts; the control database has none."""
    cursor.execute("SELECT to_regclass('headrace.ledger') IS NOT NULL")
    if not cursor.fetchone()[0]:
        return set()
    cursor.execute("SELECT job_id::text FROM headrace.ledger")
    return {job_id for (job_id,) in cursor.fetchall()}


def faults_of_lines(cluster: Cluster) -> list[str]:
    """Return the completed SayingJobs of which a line is missing or there twice."""
    rows = cluster.sql(
        "SELECT j.id, array_agg(l.message ORDER BY l.line) FILTER (WHERE l.message LIKE 'said %%')"
        " AS said FROM headrace.job j LEFT JOIN headrace.job_log l"
        " ON l.job_id = j.id AND l.attempt = j.attempt"
        " WHERE j.job_class = %s AND j.status = 'completed' GROUP BY j.id",
        SAYING_JOB,
    )
    wanted = [f"said {number}" for number in range(1, LINES + 1)]
    return [f"SayingJob {row['id']} has {row['said']}" for row in rows if row["said"] != wanted]
