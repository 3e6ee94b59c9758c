"""Rounds: every system once, then every system again, and the median of what each has done."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.contender import ROOT, child_environment
from bench.menu import Case, Workload
from bench.peerage import BY_KEY, Entry
from bench.servers import Stand


class Rounds:
    """Runs workloads on one stand."""

    def __init__(
        self, stand: Stand, peers: set[str], broken: dict[str, str], rounds: int, budget_s: float
    ) -> None:
        self._stand = stand
        self._peers = peers
        self._broken = broken
        self._rounds = rounds
        self._budget_s = budget_s

    def run(self, workload: Workload) -> list[dict[str, Any]]:
        """Run all cases of a workload in alternation; returns what is stored of each."""
        pairs = [
            (case, BY_KEY[key])
            for case in workload.cases
            for key in case.entries
            if key in self._peers
        ]
        outcomes: dict[tuple[str, str], list[dict[str, Any]]] = {}
        spent: dict[tuple[str, str], float] = {}
        for number in range(self._rounds):
            # Every other round goes the other way: nobody always follows the same neighbour.
            for case, entry in pairs if number % 2 == 0 else reversed(pairs):
                key = (case.key, entry.key)
                done = outcomes.setdefault(key, [])
                if _hopeless(done) or spent.get(key, 0.0) > self._budget_s:
                    continue
                began = time.monotonic()
                done.append(self._once(case, entry))
                spent[key] = spent.get(key, 0.0) + time.monotonic() - began
                _print(case, entry, done[-1])
        for case in workload.cases:
            if case.keep:
                self._stand.drop(case.keep)
        return [
            _summary(case, {k[1]: outcomes[k] for k in outcomes if k[0] == case.key})
            for case in workload.cases
        ]

    def _once(self, case: Case, entry: Entry) -> dict[str, Any]:
        if entry.name in self._broken:
            return {"failed": self._broken[entry.name]}
        scratch = self._stand.home / f"run-{time.monotonic_ns()}"
        scratch.mkdir()
        try:
            if case.keep and self._stand.execute(
                f"SELECT 1 FROM pg_database WHERE datname = '{case.keep}'"
            ):
                url = self._stand.settled(case.keep)
            else:
                url = self._stand.fresh(case.keep or "bench")
            return self._compete(case, entry, url, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _compete(self, case: Case, entry: Entry, url: str, scratch: Path) -> dict[str, Any]:
        command = [str(entry.python), "-m", "bench.compete", entry.name, entry.variant]
        process = subprocess.Popen(
            [*command, case.module, json.dumps(case.parameters)],
            cwd=ROOT,
            env={
                **child_environment(),
                "BENCH_DATABASE_URL": url,
                "BENCH_REDIS_URL": self._stand.redis_url,
                "BENCH_SCRATCH": str(scratch),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=case.limit_s)
        except subprocess.TimeoutExpired:
            # It stops its own workers on the way out.
            process.send_signal(signal.SIGINT)
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
            return {"failed": f"not done after {case.limit_s:g} s"}
        if process.returncode:
            return {"failed": _reason(err)}
        result: dict[str, Any] = json.loads(out.strip().splitlines()[-1])
        return result


def _hopeless(done: list[dict[str, Any]]) -> bool:
    """True if another round would bring nothing: it cannot do it, or has failed twice."""
    return any("not_natural" in one for one in done) or sum("failed" in one for one in done) >= 2


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return (lines[-1] if lines else "it ended without a word")[-400:].replace(os.fspath(ROOT), ".")


def _print(case: Case, entry: Entry, result: dict[str, Any]) -> None:
    said = result.get("failed") or (
        "—" if "not_natural" in result else f"{result['value']:,.2f} {case.unit}"
    )
    print(f"  {case.title:34} {entry.key:14} {said}", flush=True)


def _summary(case: Case, by_entry: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the case with the median of every number, all rounds' values beside it."""
    results: dict[str, Any] = {}
    for key, done in by_entry.items():
        good = [one for one in done if "value" in one]
        if not good:
            results[key] = done[-1] if done else {"failed": "not run"}
            continue
        names = [name for name in good[0] if isinstance(good[0][name], int | float)]
        results[key] = {
            **{name: statistics.median(one[name] for one in good) for name in names},
            "rounds": [one["value"] for one in good],
            "failures": [one["failed"] for one in done if "failed" in one],
        }
    return {
        "key": case.key,
        "title": case.title,
        "unit": case.unit,
        "more_is_better": case.more_is_better,
        "parameters": case.parameters,
        # Whether it belongs into the table of all systems.
        "compared": len(case.entries) > 2,
        "results": results,
    }
