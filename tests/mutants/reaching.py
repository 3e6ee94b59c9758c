"""Finds the tests that reach a fault, and the lines that no test reaches."""

import ast
import re
from collections.abc import Iterable
from functools import cache, cached_property
from pathlib import Path

from tests.mutants.faults import Fault
from tests.mutants.line_map import LineMap, Test
from tests.mutants.python_faults import PythonFaults
from tests.mutants.sources import Sources

# Programs of their own, under an interpreter where no mark is made, and who starts them.
STARTED_BY = {"runner/store/embedded/launch.py": "runner/store/embedded/process.py"}
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)


class Reaching:
    """What a map says about a tree."""

    def __init__(self, sources: Sources, path: Path) -> None:
        self._sources = sources
        self._map = path

    def tests(self, faults: Iterable[Fault]) -> dict[Fault, list[Test]]:
        """Return the tests that reach each fault, those first that say so soonest."""
        places = {fault: self._places(fault) for fault in faults}
        found: dict[Fault, list[Test]] = {fault: [] for fault in places}
        with LineMap(self._map) as kept:
            known = {test.id: test for test in kept.tests() if test.outcome == "passed"}
            for name, marks in kept.marks():
                for fault, wanted in places.items():
                    if name in known and any(marks[place] for place in wanted):
                        found[fault].append(known[name])
        return {fault: _soonest_first(tests) for fault, tests in found.items()}

    def reached(self, fault: Fault) -> bool:
        """Return whether any test reaches a fault."""
        return any(self._executed[place] for place in self._places(fault))

    def unreached(self) -> dict[str, list[int]]:
        """Return the lines of functions, and statements, that nothing has executed."""
        missing: dict[str, list[int]] = {}
        for path in self._sources.paths:
            for place in self._of_file(path):
                if not self._executed[place]:
                    missing.setdefault(path, []).append(place - self._sources.first[path] + 1)
        return missing

    @cached_property
    def _executed(self) -> bytes:
        executed = 0
        with LineMap(self._map) as kept:
            for _, marks in kept.marks():
                executed |= int.from_bytes(marks, "big")
        return executed.to_bytes(self._sources.total, "big")

    @cache  # noqa: B019 - there is one of these for each run
    def _of_file(self, path: str) -> list[int]:
        first = self._sources.first[path]
        if path.endswith(".py"):
            lines = PythonFaults(path, self._sources.text(path)).marked_lines()
            return sorted({first + line - 1 for line in lines})
        # A part is executed in the statements that include it.
        last = first + self._sources.text(path).count("\n")
        names = [name for name, one in self._sources.statements.items() if first <= one <= last]
        whole = [name for name in names if not name.endswith(("_part", "_parts"))]
        return [self._sources.statements[name] for name in whole]

    def _places(self, fault: Fault) -> list[int]:
        """Return the places in the marks, one of which a test has that reaches the fault."""
        if (starter := STARTED_BY.get(fault.path)) is not None:
            return self._of_file(starter)
        place = self._sources.first[fault.path] + fault.mark - 1
        if not fault.path.endswith(".py"):
            (name,) = (name for name, one in self._sources.statements.items() if one == place)
            return [self._sources.statements[one] for one in (name, *self._including(name))]
        if fault.inside:
            return [place]
        # The import executes it: whoever uses the module may see it, or a module that imports it.
        own = self._of_file(fault.path)
        return own or [one for path in self._importers(fault.path) for one in self._of_file(path)]

    def _including(self, name: str) -> list[str]:
        direct = [one for one, parts in self._included.items() if name in parts]
        return [*direct, *(further for one in direct for further in self._including(one))]

    @cached_property
    def _included(self) -> dict[str, list[str]]:
        found = {}
        for path in self._sources.paths:
            if path.endswith(".sql"):
                for statement in re.split(r"^-- name: ", self._sources.text(path), flags=re.M)[1:]:
                    found[statement.partition("\n")[0]] = _INCLUDE.findall(statement)
        return found

    @cache  # noqa: B019
    def _importers(self, path: str) -> list[str]:
        module = path.removeprefix("runner/").removesuffix(".py").removesuffix("/__init__")
        module = f"headrace.{module.replace('/', '.')}"
        package, _, name = module.rpartition(".")
        found = []
        for other in self._sources.paths:
            if not other.endswith(".py"):
                continue
            for node in ast.walk(ast.parse(self._sources.text(other))):
                if isinstance(node, ast.ImportFrom) and (
                    node.module == module
                    or (node.module == package and name in {one.name for one in node.names})
                ):
                    found.append(other)
                    break
        return found


def _soonest_first(tests: list[Test]) -> list[Test]:
    """Keep a file's tests together, and begin with the files whose tests are quick."""
    files: dict[str, list[Test]] = {}
    for test in sorted(tests, key=lambda test: (test.seconds, test.id)):
        files.setdefault(test.id.partition("::")[0], []).append(test)
    mean = {file: sum(one.seconds for one in own) / len(own) for file, own in files.items()}
    return [test for file in sorted(files, key=mean.__getitem__) for test in files[file]]
