"""`make chaos`: minutes of random faults under load, then every invariant.

    python -m bench.chaos [--minutes 5] [--seed N]

Effects are made in three databases, by jobs of the tests and by RunSql; jobs log as they go, some
of them past their timeout. Ends with 1 where a job was lost or doubled, an invariant does not hold,
the row of a RunSql job is not there exactly once if and only if it completed, a log line older than
2 s or of a completed job is missing, or a job is not final within 60 s of the last fault.
"""

import argparse
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.chaos_report import count, print_counts, print_done, print_said
from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from tests.support.chaos import PIPELINE, Faults, Load
from tests.support.cluster import Cluster, cluster_on, effect_job
from tests.support.invariants import violations
from tests.support.places import (
    PASSWORD,
    NotInstalled,
    debian_programs,
    run_as_owner,
    second_server,
)
from tests.support.real_work import make_table
from tests.support.servers import create_database, embedded_servers
from tests.support.spoken import gaps

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
        with ExitStack() as stack:
            servers = stack.enter_context(embedded_servers(home))
            upgrade(servers.database_url)
            targets = make_targets(servers, stack)
            env = {"HEADRACE_LEASE_S": _LEASE_S, "JOB_MAX_RETRIES": "5"}
            config = {"connections": targets}
            cluster = stack.enter_context(cluster_on(servers, Path(folder), config=config, env=env))
            for url in (servers.database_url, *targets.values()):
                make_table(url)
            return run(cluster, home, options, targets)


def make_targets(servers: Servers, stack: ExitStack) -> dict[str, str]:
    """Return databases with a table of effects by name: one beside, one of another major."""
    targets = {"beside": create_database(servers.database_url)}
    try:
        other = stack.enter_context(second_server(debian_programs()))
    except NotInstalled as missing:
        print(f"one target only: {missing}", flush=True)
    else:
        other.execute(f"CREATE ROLE etl LOGIN PASSWORD '{PASSWORD}'")
        other.execute("CREATE DATABASE other OWNER etl")
        targets["other"] = other.url_for("other", "etl")
    for url in targets.values():
        run_as_owner(url, "CREATE TABLE public.effect (job_id uuid, attempt integer, tag text)")
    return targets


def run(cluster: Cluster, home: Path, options: argparse.Namespace, targets: dict[str, str]) -> int:
    for name in ("one", "two", "three"):
        text = PIPELINE.format(name=name, effect=effect_job("EffectJob"))
        (cluster.folder / "pipelines" / f"{name}.yaml").write_text(text)
    rng = random.Random(options.seed)
    journal = cluster.folder / "journal"
    journal.mkdir()
    load = Load(cluster, options.seed, targets=list(targets), journal=journal)
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
    for url in targets.values():
        cluster.copy_effects(url)
    failed = print_said(gaps(cluster, journal, faults.outages), journal)
    failed |= print_done(cluster, [cluster.servers.database_url, *targets.values()])
    print_counts(cluster, faults)
    return max(int(failed), verdict(cluster, load, settled_s))


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


def lost_jobs(cluster: Cluster, load: Load) -> int:
    """Return how many jobs have no row, no end, or were completed without their effect."""
    there = {row["id"] for row in cluster.sql("SELECT id::text FROM headrace.job")}
    unfinished = count(
        cluster,
        "SELECT count(*) AS n FROM headrace.job"
        " WHERE status IN ('waiting', 'queued', 'started', 'retrying')",
    )
    without = count(
        cluster,
        "SELECT count(*) AS n FROM headrace.job j WHERE status = 'completed'"
        " AND job_class LIKE '%%EffectJob'"
        " AND NOT EXISTS (SELECT FROM public.effect WHERE job_id = j.id)",
    )
    return len(set(load.dispatched) - there) + unfinished + without


def verdict(cluster: Cluster, load: Load, settled_s: float | None) -> int:
    """Print what must hold, and return 1 where it does not."""
    lost = lost_jobs(cluster, load)
    doubled = count(
        cluster,
        "SELECT count(*) AS n FROM (SELECT FROM public.effect GROUP BY job_id"
        " HAVING count(*) > 1) AS twice",
    )
    broken = violations(cluster.servers.database_url)
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
