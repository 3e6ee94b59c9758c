"""`make chaos-writes`: kill the worker at 20 random moments of each writing job.

    python -m bench.killed_writes [--kills 20] [--rows 20000] [--only NAME] [--seed N]

All writes run side by side, here and on a second server; readers poll their tables all the while.
Ends with 1 where source and target do not agree in the end, or a reader saw half of a write.
"""

import argparse
import random
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster
from tests.support.kills import Kills, kills_on
from tests.support.places import debian_programs, second_server
from tests.support.servers import embedded_servers


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.killed_writes")
    parser.add_argument("--kills", type=int, default=20, help="of each write")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--only", default="", help="only writes in whose name this stands")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"killed writes: {options.kills} of each, seed {options.seed}", flush=True)
    # The servers' sockets want a short path.
    with tempfile.TemporaryDirectory(prefix="hr-") as folder, ExitStack() as stack:
        servers = stack.enter_context(embedded_servers(Path(folder) / "home"))
        upgrade(servers.database_url)
        other = stack.enter_context(second_server(debian_programs()))
        work = stack.enter_context(
            kills_on(
                servers,
                other,
                Path(folder),
                rows=options.rows,
                seed=options.seed,
                only=options.only,
            )
        )
        return run(work, options.kills)


def run(work: tuple[Cluster, Kills], kills: int) -> int:
    """Kill until each write was hit so often (or Ctrl-C), and print what was found."""
    cluster, done = work
    with suppress(KeyboardInterrupt):
        kill(done, kills)
    cluster.check(settled=False)
    print(f"\n\n{'write':<24} {'killed':>6} {'looks':>7}  wrong")
    for one in done.writes:
        print(f"{one.name:<24} {done.hit[one.name]:>6} {one.looks:>7}  {len(one.wrong)}")
    missed = [one.name for one in done.writes if done.hit[one.name] < kills]
    if missed:
        print(f"  killed less often than asked: {', '.join(missed)}")
    return int(bool(done.wrong or missed))


def kill(done: Kills, kills: int) -> None:
    """Kill until each write was hit so often, and say how far it is."""
    told = 0
    done.calm_round()
    while min(done.hit[one.name] for one in done.writes) < kills and done.rounds < 4 * kills:
        done.round()
        if len(done.wrong) > told:
            print("", *done.wrong[told:], sep="\n  ", flush=True)
            told = len(done.wrong)
        least = min(done.writes, key=lambda one: done.hit[one.name]).name
        print(f"\rround {done.rounds}: {sum(done.hit.values())} killed, least often {least} "
              f"({done.hit[least]})   ", end="", flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
