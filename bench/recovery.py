"""Measures how fast a job starts again: `python -m bench.recovery [--times 20]`.

Kills a job's process, then a job's whole worker, that many times each, and prints the medians
of the seconds from the kill to the next start of the job.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster, cluster_on
from tests.support.processes import Process, wait_until
from tests.support.servers import embedded_servers

LIMITS_S = {"child": 2.0, "worker": 5.0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recovery")
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    with (
        tempfile.TemporaryDirectory(prefix="hr-") as folder,
        embedded_servers(Path(folder) / "home") as servers,
    ):
        upgrade(servers.database_url)
        with cluster_on(servers, Path(folder)) as cluster:
            cluster.daemon()
            cluster.wait_for_leader()
            slow = [measure(cluster, kind, times) for kind in LIMITS_S]
            cluster.check()
    return int(any(slow))


def measure(cluster: Cluster, kind: str, times: int) -> bool:
    """Print the median for one kind of kill; True where it is above its limit."""
    found = sorted(once(cluster, kind, number) for number in range(times))
    middle = median(found)
    print(
        f"{kind:6} killed: started again after {middle:.2f} s (median of {times};"
        f" {found[0]:.2f} to {found[-1]:.2f} s; must be below {LIMITS_S[kind]:g} s)",
        flush=True,
    )
    return middle >= LIMITS_S[kind]


def once(cluster: Cluster, kind: str, number: int) -> float:
    """Kill once; return the seconds from the kill to the job's next start."""
    # Two workers, so that the second one is there to take over.
    workers = living(cluster)
    while len(workers) < 2:
        cluster.wait_for_worker(cluster.worker())
        workers = living(cluster)
    reached = cluster.folder / f"{kind}-{number}"
    job = cluster.dispatch("HeldEffectJob", with_={"reached": str(reached), "go": "/nowhere"})
    cluster.wait_for_file(reached)
    name = cluster.job(job)["worker"]
    victim = next(one for one in workers if f".{one.pid}." in name)
    if kind == "worker":
        victim.kill()
    else:
        os.kill(victim.children()[0], signal.SIGKILL)
    killed = time.time()
    wait_until(lambda: cluster.job(job)["attempt"] == 2, what="the second start")
    started = cluster.job(job)["started_at"].timestamp()
    cluster.wait_for_status(job, "completed")
    return float(started - killed)


def living(cluster: Cluster) -> list[Process]:
    return [one for one in cluster.started if one.role == "worker" and one.popen.poll() is None]


if __name__ == "__main__":
    sys.exit(main())
