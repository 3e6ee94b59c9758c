"""Runs a sample of faults against the tests: `make mutants N=60 SEED=… OPERATORS=…`."""

import argparse
import json
import queue
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.faults import Fault
from tests.mutants.line_map import Test
from tests.mutants.mapping import make_map
from tests.mutants.one_sided import one_sided
from tests.mutants.processes import end_running
from tests.mutants.reaching import Reaching
from tests.mutants.report import report
from tests.mutants.sample import Sample
from tests.mutants.sources import Sources
from tests.mutants.trial import Witnesses, Workplace
from tests.mutants.unreached import without_reason
from tests.mutants.workspace import cache_folder, commit, copy_of_tree


def main() -> None:
    """Make the map if there is none, then try the faults that have no result yet."""
    # What was started is ended, however this ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    of = commit(options.commit)
    folder = cache_folder(of)
    tests = options.tests.split() or ["tests"]
    seed = int(options.seed) if options.seed else int(of[:8], 16)
    path = make_map(folder, of, tests, options.processes)
    sources = Sources(copy_of_tree(folder / "copy-0", of))
    reaching = Reaching(sources, path)
    if options.unreached:
        _list_unreached(reaching.unreached(), sources)
        return
    if options.one_sided:
        for tests_of_it, place in one_sided(sources, path):
            print(f"{tests_of_it:5} tests  {place}")
        return
    # What a part of the suite does not execute says nothing about the suite.
    among = None if tests == ["tests"] else reaching.reached
    sample = Sample(sources, seed, options.rooms.split(), among, _names(options.operators))
    faults = sample.draw(options.faults)
    results = folder / f"results-{seed}.jsonl"
    _try_all(faults, reaching.tests(faults), of, results, options)
    wanted = {_name(fault) for fault in faults}
    rows = [row for row in map(json.loads, _lines(results)) if row["name"] in wanted]
    text = report(rows, seed, of, tests)
    (folder / f"report-{seed}.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"Kept in {folder}; delete it when you are done.")


def _list_unreached(found: dict[str, list[int]], sources: Sources) -> None:
    left = without_reason(found, {path: sources.text(path) for path in found})
    for name, lines in left.items():
        print(f"{name}: {' '.join(map(str, lines))}")
    every, open_ = (sum(map(len, one.values())) for one in (found, left))
    print(f"No test executes {every} lines; {open_} of them have no reason in unreached.yaml.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--faults", type=int, default=60, help="how many are drawn")
    parser.add_argument("--seed", default="", help="the commit's first eight hexadecimal digits")
    parser.add_argument("--commit", default="HEAD", help="the commit to test")
    parser.add_argument("--rooms", default="", help="rooms to draw from, engine/gating say")
    parser.add_argument("--operators", default="", help="of these only: 'constant, sql: join'")
    parser.add_argument("--tests", default="", help="folders or files of tests, all by default")
    parser.add_argument("--seconds", type=float, default=600, help="the most that one fault gets")
    parser.add_argument("--processes", type=int, default=4, help="pytest's, to make the map")
    parser.add_argument("--at-once", type=int, default=2, help="how many are tried at a time")
    parser.add_argument("--unreached", action="store_true", help="list lines no test executes")
    told = "list conditions that every test of theirs finds true"
    parser.add_argument("--one-sided", action="store_true", help=told)
    return parser.parse_args()


def _try_all(
    faults: list[Fault],
    tests: dict[Fault, list[Test]],
    of: str,
    results: Path,
    options: argparse.Namespace,
) -> None:
    known = {json.loads(line)["name"] for line in _lines(results)}
    left = [fault for fault in faults if _name(fault) not in known]
    if not left:
        return
    places: queue.Queue[Workplace] = queue.Queue()
    witnesses = Witnesses(results.parent / "witnesses.jsonl")
    for number in range(options.at_once):
        place = Workplace(copy_of_tree(results.parent / f"copy-{number}", of), witnesses)
        place.check(min(filter(None, tests.values()), key=len, default=[])[:1], options.seconds)
        places.put(place)

    def attempt(fault: Fault) -> None:
        place = places.get()
        text = place.text(fault.path)
        before, after = fault.shown(text)
        try:
            outcome = place.try_fault(fault, tests[fault], options.seconds)
            place.clear()
        finally:
            places.put(place)
        row = {"name": _name(fault), "path": fault.path, "line": fault.line}
        row |= {
            "where": fault.where(text),
            "operator": fault.operator,
            "before": before,
            "after": after,
            **vars(outcome),
        }
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        told = f"{fault.path}:{fault.line} {fault.operator}"
        print(f"{outcome.verdict}: {told} {outcome.by}", flush=True)

    with ThreadPoolExecutor(options.at_once) as pool:
        try:
            list(pool.map(attempt, left))
        except BaseException:
            end_running()
            raise
    for test in sorted(test for test, passes in witnesses.known().items() if not passes):
        print(f"Alone this fails on unchanged code, and is not used: {test}")


def _names(listed: str) -> list[str]:
    return [name for one in listed.split(",") if (name := one.strip())]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _name(fault: Fault) -> str:
    return f"{fault.path}:{fault.start}:{fault.end}:{fault.new}"


if __name__ == "__main__":
    main()
