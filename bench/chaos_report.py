"""Prints what a run of `make chaos` has seen."""

from pathlib import Path
from statistics import median

from tests.support.chaos import Faults
from tests.support.cluster import Cluster
from tests.support.real_work import SAYING_JOB, faults_of_lines, faults_of_statements

_SHOWN = 20


def print_said(missing: list[str], journal: Path) -> bool:
    """Print which log lines are missing; returns whether any is."""
    print(
        f"\nspoken     {len(list(journal.iterdir())):6} attempts kept a journal of their log lines"
    )
    print(f"log lines older than 2 s missing in {len(missing)} of them")
    _print_first(missing)
    return bool(missing)


def print_done(cluster: Cluster, urls: list[str]) -> bool:
    """Print which rows and lines of jobs are there too often or not at all; returns whether any."""
    wrong, late = faults_of_statements(cluster, urls)
    wrong += faults_of_lines(cluster)
    tried = count(
        cluster,
        "SELECT count(*) AS n FROM headrace.job WHERE job_class IN ('RunSql', %s)",
        SAYING_JOB,
    )
    print(f"of {tried} RunSql jobs and jobs that log lines, {len(wrong)} are wrong")
    together = count(
        cluster,
        "SELECT coalesce(sum(n), 0) AS n FROM (SELECT count(*) AS n FROM public.statement"
        " GROUP BY xmin::text HAVING count(*) > 1) AS shared",
    )
    print(f"{together} of the rows here came in a transaction with others")
    _print_first(wrong)
    print(f"{len(late)} ended otherwise between the commit on a target and their completion")
    _print_first(late)
    return bool(wrong)


def _print_first(found: list[str]) -> None:
    for one in found[:_SHOWN]:
        print(f"  {one}")


def print_counts(cluster: Cluster, faults: Faults) -> None:
    """Print what there was: jobs, attempts, faults, and how long their repair took."""
    statuses = cluster.sql("SELECT status, count(*) AS n FROM headrace.job GROUP BY 1 ORDER BY 1")
    jobs = sum(row["n"] for row in statuses)
    print(f"\njobs       {jobs:6}   " + ", ".join(f"{r['n']} {r['status']}" for r in statuses))
    print(f"runs       {count(cluster, 'SELECT count(*) AS n FROM headrace.run'):6}")
    print(f"attempts   {count(cluster, 'SELECT sum(attempt) AS n FROM headrace.job'):6}")
    print(f"effects    {count(cluster, 'SELECT count(*) AS n FROM public.effect'):6}")
    print(f"faults     {sum(faults.counts.values()):6}")
    for name, times in faults.counts.most_common():
        print(f"  {times:5}  {name}")
    for kind in ("child", "worker"):
        times_s = recovery_s(cluster, faults, kind)
        if times_s:
            print(
                f"queued again after a {kind} was killed: median {median(times_s):.2f} s,"
                f" longest {max(times_s):.2f} s, {len(times_s)} jobs"
            )
    causes = cluster.sql(
        "SELECT outcome, regexp_replace(error, '[0-9]+', 'N', 'g') AS error, count(*) AS n"
        " FROM headrace.job_attempt WHERE outcome <> 'failed' GROUP BY 1, 2 ORDER BY 3 DESC"
    )
    print("attempts that did not end by themselves")
    for row in causes:
        print(f"  {row['n']:5}  {row['outcome']}: {row['error'] or 'by a person'}")
    spent = count(
        cluster,
        "SELECT count(*) AS n FROM headrace.job WHERE status = 'failed' AND crash_count > 0",
    )
    print(f"failed for good after {spent} crash budgets were spent (3 crashes of one job)")


def recovery_s(cluster: Cluster, faults: Faults, kind: str) -> list[float]:
    """Return how long after each kill what it hit was queued again."""
    found = []
    for kill in faults.kills:
        if kill.kind != kind or not kill.held:
            continue
        rows = cluster.sql(
            "SELECT extract(epoch FROM a.at) AS at FROM audit.job a"
            " JOIN unnest(%s::uuid[], %s::integer[]) AS held (id, attempt)"
            " ON a.job_id = held.id AND a.old_attempt = held.attempt"
            " WHERE a.old = 'started' AND a.new = 'queued'"
            " AND a.at > to_timestamp(%s)",
            [job for job, _ in kill.held],
            [attempt for _, attempt in kill.held],
            kill.at,
        )
        found += [float(row["at"]) - kill.at for row in rows]
    return found


def count(cluster: Cluster, sql: str, *values: str) -> int:
    return int(cluster.sql(sql, *values)[0]["n"])
