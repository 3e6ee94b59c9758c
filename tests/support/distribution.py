"""How pytest-xdist shares the tests out: what takes long first, and no process idle at the end.

A file whose fixtures are made once for all its tests stays in one process; of every other file
each test function may run anywhere. The order is the same in each process, as xdist demands.
"""

import re
from functools import cache
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

_ROOT = Path(__file__).resolve().parents[2]
_ONCE = re.compile(r"scope=\"(module|package|class)\"|Matrix\b")
# Those that wait for processes and servers come before those that only compute: a short test
# can fill the end of a run, a long one prolongs it.
_FOLDERS = (
    *("packaging", "matrix", "faults", "browser", "connections", "others", "queue", "integration"),
    *("store", "unit", "conformance"),
)


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Shares out test functions, and files whole that have something made once."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return path if _is_whole(path) else nodeid.partition("[")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Put the items in the order in which they are to be shared out."""

    def rank(item: pytest.Item) -> tuple[bool, bool, int]:
        path = item.path.relative_to(_ROOT)
        slow = item.get_closest_marker("slow") is not None
        folder = path.parts[1]
        place = _FOLDERS.index(folder) if folder in _FOLDERS else 0
        return not _is_whole(path.as_posix()) or folder == "unit", not slow, place

    items.sort(key=rank)


@cache
def _is_whole(path: str) -> bool:
    return _ONCE.search((_ROOT / path).read_text(encoding="utf-8")) is not None
