"""Takes over the map of an earlier commit, if only tests have changed since it was made."""

import shutil
from pathlib import Path

from tests.mutants.line_map import LineMap
from tests.mutants.workspace import changed_files

# No line of these is executed as one in which a fault is made.
_BESIDE = ("tests/", "docs/", "bench/", "CHANGELOG.md", "README.md")


def take_earlier_map(path: Path, commit: str) -> None:
    """Put an earlier map at `path`, without the tests of changed files: they are to run again.

    What tests share (`tests/support`, `conftest.py`) may have changed: which lines the other tests
    execute is then known as of the earlier commit.
    """
    made = sorted(path.parents[1].glob("*/map.finished"), key=lambda one: one.stat().st_mtime)
    for finished in reversed(made):
        changed = changed_files(finished.parent.name, commit)
        whole = "tests" in finished.read_text(encoding="utf-8").splitlines()
        if whole and changed is not None and all(name.startswith(_BESIDE) for name in changed):
            part = path.with_suffix(".part")
            shutil.copy2(finished.with_suffix(".sqlite"), part)
            with LineMap(part) as kept:
                kept.forget(changed)
            part.rename(path)
            print(f"The map begins with that of {finished.parent.name}.", flush=True)
            return
