"""Run the benchmark: `make bench`, or `python -m bench`.

WORKLOADS=drain,chain   only these (see bench/menu.py)
PEERS=headrace,huey     only these systems (see bench/peerage.py); a report needs all of a workload
ROUNDS=5                how often; the median counts
QUICK=1                 small numbers, one round, no report: does it all run?
BUDGET=240              seconds a system may take for one case before it gets no more rounds
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import machine, report
from bench.contender import ROOT
from bench.menu import Workload, menu
from bench.peerage import ENTRIES, ENVIRONMENTS, install
from bench.rounds import Rounds
from bench.servers import running

RESULTS = ROOT / "bench" / "results"
TRIALS = ENVIRONMENTS / "trials"


def main() -> int:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    workloads = menu(quick=quick)
    chosen = _chosen("WORKLOADS", [workload.key for workload in workloads])
    peers = _chosen("PEERS", [entry.key for entry in ENTRIES])
    rounds = int(os.environ.get("ROUNDS") or (1 if quick else 5))
    budget_s = float(os.environ.get("BUDGET") or 240)
    # A report without some of those that a workload compares would be no comparison.
    needed = {
        key for one in workloads if one.key in chosen for case in one.cases for key in case.entries
    }
    reported = not quick and needed <= peers
    names = {entry.name for entry in ENTRIES if entry.key in peers}
    broken = {name: reason for name in sorted(names) if (reason := install(name))}
    with running() as stand:
        head = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "rounds": rounds,
            "machine": machine.describe(stand),
        }
        runner = Rounds(stand, peers, broken, rounds, budget_s)
        for workload in workloads:
            if workload.key in chosen:
                print(f"\n{workload.title}", flush=True)
                _write(
                    workload,
                    head | {"cases": runner.run(workload)},
                    RESULTS if reported else TRIALS,
                )
    if reported:
        report.write(RESULTS, ROOT / "docs" / "performance.md")
    return 0


def _write(workload: Workload, results: dict[str, object], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path: Path = folder / f"{workload.key}.json"
    path.write_text(json.dumps({"title": workload.title, **results}, indent=1) + "\n")


def _chosen(variable: str, known: list[str]) -> set[str]:
    given = [word.strip() for word in os.environ.get(variable, "").split(",") if word.strip()]
    unknown = sorted(set(given) - set(known))
    if unknown:
        sys.exit(f"{variable} names {', '.join(unknown)}; there are {', '.join(known)}")
    return set(given or known)


if __name__ == "__main__":
    sys.exit(main())
