"""Makes the map from lines to tests: one run of the suite on unchanged code."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.earlier_map import take_earlier_map
from tests.mutants.line_map import LineMap
from tests.mutants.processes import run_pytest
from tests.mutants.workspace import copy_of_tree, lay_marks


def make_map(folder: Path, commit: str, tests: Sequence[str], processes: int) -> Path:
    """Return the map of `commit`, made where it lacks one of `tests`; folders or files.

    An interrupted run goes on with the tests that the map does not have, and so does one after a
    commit in which only tests have changed. A test that fails here,
    slowed by the marks perhaps, is used for no fault; to try it again, delete `map.finished`.
    """
    path, finished = folder / "map.sqlite", folder / "map.finished"
    known = finished.read_text(encoding="utf-8").splitlines() if finished.exists() else []
    missing = [one for one in tests if not any(_holds(done, one) for done in known)]
    if missing:
        if not path.exists():
            take_earlier_map(path, commit)
        print(f"Mapping lines to tests: {' '.join(missing)} …", flush=True)
        _run(path, copy_of_tree(folder / "map-copy", commit), missing, processes)
        finished.write_text("\n".join([*known, *missing]) + "\n", encoding="utf-8")
    with LineMap(path) as kept:
        failed = [test.id for test in kept.tests() if test.outcome == "failed"]
    for test in failed:
        print(f"On unchanged code this fails, and is not used: {test}")
    return path


def _run(path: Path, copy: Path, tests: Sequence[str], processes: int) -> None:
    lay_marks(copy, path.parent / "marks")
    with LineMap(path) as kept:
        done = [test.id for test in kept.tests() if test.outcome != "failed"]
    path.with_suffix(".done").write_text("\n".join(done), encoding="utf-8")
    arguments = ["-q", "-p", "tests.mutants.recorder", "-n", str(processes)]
    # The marks cost time, and so do two of everything: deadlines of tests are for other days.
    arguments += ["--dist", "loadscope", "--timeout", "600", *tests]
    env = {"HEADRACE_LINE_MAP": str(path)}
    code = run_pytest(copy, arguments, env, said=os.dup(1))
    if code not in (0, 1, 5):
        raise SystemExit(f"pytest ended with {code} while the map was made: see above")


def _holds(done: str, wanted: str) -> bool:
    return Path(wanted).is_relative_to(done)
