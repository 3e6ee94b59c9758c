"""The map of a commit begins with an earlier one's, if only tests have changed since."""

import subprocess
from pathlib import Path

import pytest

from tests.mutants import workspace
from tests.mutants.earlier_map import take_earlier_map
from tests.mutants.line_map import LineMap

_SELF = ("-c", "user.name=t", "-c", "user.email=t@example.org")


class Tree:
    """A repository whose commits have maps beside it."""

    def __init__(self, root: Path, maps: Path) -> None:
        self._root, self._maps = root, maps
        self._git("init", "--quiet")

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            path = self._root / name.replace("__", "/").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        self._git("add", ".")
        self._git(*_SELF, "commit", "--quiet", "-m", "one")
        return self._git("rev-parse", "HEAD").strip()

    def map_of(self, commit: str) -> Path:
        folder = self._maps / commit[:12]
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "map.sqlite"

    def make_map(self, commit: str, tests: str = "tests") -> None:
        path = self.map_of(commit)
        with LineMap(path) as kept:
            for test in ("", "tests/test_a.py::test_one", "tests/test_b.py::test_two[x::y]"):
                kept.add(test, "passed", 1, b"\0\1")
        path.with_suffix(".finished").write_text(f"{tests}\n", encoding="utf-8")

    def _git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self._root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    root = tmp_path / "tree"
    root.mkdir()
    monkeypatch.setattr(workspace, "ROOT", root)
    return Tree(root, tmp_path / "maps")


def known(path: Path) -> list[str]:
    with LineMap(path) as kept:
        return [test.id for test in kept.tests()]


def test_the_tests_of_files_that_did_not_change_are_known(tree: Tree) -> None:
    first = tree.commit(runner__a_py="1", tests__test_a_py="1", tests__test_b_py="1")
    tree.make_map(first)
    second = tree.commit(tests__test_a_py="2", docs__new_py="2")
    take_earlier_map(tree.map_of(second), second)
    assert known(tree.map_of(second)) == ["tests/test_b.py::test_two[x::y]"]
    assert len(known(tree.map_of(first))) == 2, "the earlier one stays as it is"


@pytest.mark.parametrize("changed", ["runner__a_py", "jobs__b_py", "pyproject_py"])
def test_after_a_change_of_code_all_run_again(tree: Tree, changed: str) -> None:
    first = tree.commit(runner__a_py="1", tests__test_a_py="1")
    tree.make_map(first)
    second = tree.commit(**{changed: "2"})
    take_earlier_map(tree.map_of(second), second)
    assert not tree.map_of(second).exists()


def test_the_map_of_a_part_is_not_taken(tree: Tree) -> None:
    first = tree.commit(tests__test_a_py="1")
    tree.make_map(first, tests="tests/unit")
    second = tree.commit(tests__test_a_py="2")
    take_earlier_map(tree.map_of(second), second)
    assert not tree.map_of(second).exists()


def test_the_map_of_a_commit_that_is_gone_is_not_taken(tree: Tree) -> None:
    tree.make_map("0123456789abcdef")
    second = tree.commit(tests__test_a_py="2")
    take_earlier_map(tree.map_of(second), second)
    assert not tree.map_of(second).exists()
