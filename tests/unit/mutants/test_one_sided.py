"""Conditions of which every test sees the same side."""

from pathlib import Path

from tests.mutants.line_map import LineMap
from tests.mutants.one_sided import one_sided
from tests.mutants.sources import Sources

_CODE = """\
def one(a):
    if a:
        a += 1
    if a > 1:
        a += 1
    else:
        a -= 1
    if a > 2: a += 1
    if a > 3:
        a += 1
    return a
"""


def _marks(*lines: int) -> bytes:
    return bytes(int(number in lines) for number in range(1, _CODE.count("\n") + 2))


def test_a_condition_is_told_whose_body_every_test_executes(tmp_path: Path) -> None:
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner" / "module.py").write_text(_CODE)
    with LineMap(tmp_path / "map") as kept:
        kept.add("", "passed", 0, _marks(2, 9))  # Nobody's.
        kept.add("both", "passed", 0, _marks(1, 2, 3, 4, 5, 8, 9, 10))
        kept.add("the first", "passed", 0, _marks(1, 2, 3, 4, 7, 8, 9))
        kept.add("none", "passed", 0, _marks(1))

    found = list(one_sided(Sources(tmp_path), tmp_path / "map"))

    assert found == [(2, "runner/module.py:2: if a:")]
