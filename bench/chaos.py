"""`make chaos`: minutes of random faults under load, then every invariant.

    python -m bench.chaos [--minutes 5] [--seed N]

Ends with 1 where a job was lost or doubled, an invariant does not hold, or a job is not final
within 60 s of the last fault.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from runner.store.migrations import upgrade
from tests.support.chaos import PIPELINE, Faults, Load
from tests.support.cluster import Cluster, cluster_on, effect_job
from tests.support.invariants import violations
from tests.support.servers import embedded_servers

SETTLE_S = 60.0
# With the lease of production a paused worker would hold a job for 10 s of a short run.
_LEASE_S = "5"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between faults")
    options = parser.parse_args()
    print(f"chaos: {options.minutes:g} minutes, seed {options.seed}", flush=True)
    # The servers' sockets want a short path.
    with tempfile.TemporaryDirectory(prefix="hr-") as folder:
        home = Path(folder) / "home"
        with embedded_servers(home) as servers:
            upgrade(servers.database_url)
            with cluster_on(
                servers, Path(folder), env={"HEADRACE_LEASE_S": _LEASE_S, "JOB_MAX_RETRIES": "5"}
            ) as cluster:
                return run(cluster, home, options)


def run(cluster: Cluster, home: Path, options: argparse.Namespace) -> int:
    for name in ("one", "two", "three"):
        text = PIPELINE.format(name=name, effect=effect_job("EffectJob"))
        (cluster.folder / "pipelines" / f"{name}.yaml").write_text(text)
    rng = random.Random(options.seed)
    load = Load(cluster, options.seed)
    faults = Faults(cluster, home, options.seed)
    faults.keep_up()
    cluster.wait_for_leader()
    load.start()
    end = time.monotonic() + options.minutes * 60
    while time.monotonic() < end:
        time.sleep(rng.uniform(0.2, 1.6) * options.pause)
        faults.strike()
        faults.keep_up()
    load.stop()
    for name in ("one", "two", "three"):
        (cluster.folder / "pipelines" / f"{name}.yaml").unlink()
    faults.end()
    settled_s = settle(cluster, faults)
    return summary(cluster, load, faults, settled_s)


def settle(cluster: Cluster, faults: Faults) -> float | None:
    """Return the seconds until all was final, None where it was not within a minute."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_S:
        faults.keep_up()
        left = cluster.sql(
            "SELECT (SELECT count(*) FROM headrace.job WHERE status IN"
            " ('waiting', 'queued', 'started', 'retrying'))"
            " + (SELECT count(*) FROM headrace.run WHERE status IN ('queued', 'running')) AS n"
        )
        if left[0]["n"] == 0:
            return time.monotonic() - began
        time.sleep(0.1)
    return None


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


def summary(cluster: Cluster, load: Load, faults: Faults, settled_s: float | None) -> int:
    count = lambda sql: cluster.sql(sql)[0]["n"]  # noqa: E731 - shorter than its definition
    statuses = cluster.sql("SELECT status, count(*) AS n FROM headrace.job GROUP BY 1 ORDER BY 1")
    known = set(load.dispatched)
    there = {row["id"] for row in cluster.sql("SELECT id::text FROM headrace.job")}
    unfinished = count(
        "SELECT count(*) AS n FROM headrace.job"
        " WHERE status IN ('waiting', 'queued', 'started', 'retrying')"
    )
    without = count(
        "SELECT count(*) AS n FROM headrace.job j WHERE status = 'completed'"
        " AND job_class LIKE '%%EffectJob'"
        " AND NOT EXISTS (SELECT FROM public.effect WHERE job_id = j.id)"
    )
    lost = len(known - there) + unfinished + without
    doubled = count(
        "SELECT count(*) AS n FROM (SELECT FROM public.effect GROUP BY job_id"
        " HAVING count(*) > 1) AS twice"
    )
    broken = violations(cluster.servers.database_url)
    spent = count(
        "SELECT count(*) AS n FROM headrace.job WHERE status = 'failed' AND crash_count > 0"
    )
    print(
        f"\njobs       {len(there):6}   " + ", ".join(f"{r['n']} {r['status']}" for r in statuses)
    )
    print(f"runs       {count('SELECT count(*) AS n FROM headrace.run'):6}")
    print(f"attempts   {count('SELECT sum(attempt) AS n FROM headrace.job'):6}")
    print(f"effects    {count('SELECT count(*) AS n FROM public.effect'):6}")
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
    print(f"failed for good after {spent} crash budgets were spent (3 crashes of one job)")
    settled = "not within 60 s" if settled_s is None else f"{settled_s:.1f} s after the last fault"
    print(f"all final  {settled}")
    print(f"lost       {lost:6}")
    print(f"doubled    {doubled:6}")
    print(f"invariants {'hold' if not broken else f'{len(broken)} violations'}")
    for one in broken[:20]:
        print("  " + " | ".join(map(str, one)))
    return int(bool(lost or doubled or broken or settled_s is None))


if __name__ == "__main__":
    sys.exit(main())
