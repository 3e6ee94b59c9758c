"""Makes one fault in a copy of the tree and runs the tests that reach it until one fails.

A test that fails without the fault as well, because it needs another that did not run perhaps, says
nothing about it: each test that accuses a fault must pass on unchanged code in the same place.
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.mutants.faults import Fault
from tests.mutants.line_map import Test
from tests.mutants.processes import run_pytest

Verdict = Literal["killed", "survived", "unfinished", "unreached"]
_LEAST_TIMEOUT_S = 60


@dataclass(frozen=True)
class Outcome:
    """What became of a fault, by which test, after how many of those that reach it."""

    verdict: Verdict
    by: str
    ran: int
    of: int


class Witnesses:
    """Which tests pass alone on unchanged code, kept in a file for all places of a commit."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self) -> dict[str, bool]:
        """Return what was found so far."""
        if not self._path.exists():
            return {}
        lines = self._path.read_text(encoding="utf-8").splitlines()
        return {one["test"]: one["passes"] for one in map(json.loads, lines)}

    def add(self, test: Test, *, passes: bool) -> None:
        """Keep what was found of a test."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"test": test.id, "passes": passes}) + "\n")


class Workplace:
    """A copy of the tree in which one fault at a time is made."""

    def __init__(self, copy: Path, witnesses: Witnesses) -> None:
        self._copy = copy
        self._witnesses = witnesses
        self._chosen = copy.with_suffix(".chosen")
        # Bytecode is known by its source's size and second: no two versions may share them.
        self._second = int(time.time())

    def try_fault(self, fault: Fault, tests: Sequence[Test], seconds: float) -> Outcome:
        """Return the outcome; a test that has failed must fail a second time to count."""
        path = self._copy / fault.path
        before = path.read_text(encoding="utf-8")
        after = fault.applied_to(before)
        if not tests:
            return Outcome("unreached", "", 0, 0)
        known = self._witnesses.known()
        left = [test for test in tests if known.get(test.id, True)]
        end = time.monotonic() + seconds
        while left:
            with self._changed(path, before, after):
                outcome, suspect = self._judge(left, end, len(tests))
            if suspect is None or self._passes(suspect):
                return outcome
            left = left[left.index(suspect) + 1 :]
        return Outcome("survived", "", len(tests), len(tests))

    def check(self, tests: Sequence[Test], seconds: float) -> None:
        """Raise SystemExit if unchanged code fails here: the copy would be at fault."""
        code, _, failed = self.run(tests, seconds)
        if code != 0:
            raise SystemExit(f"{self._copy}: unchanged code fails here: {failed or 'no test runs'}")

    def _judge(self, tests: Sequence[Test], end: float, of: int) -> tuple[Outcome, Test | None]:
        """Return what became of a fault that is made, and the test that has accused it."""
        left = list(tests)
        while left:
            code, ran, failed = self.run(left, end - time.monotonic())
            done = of - len(left) + ran
            if code is None:
                return Outcome("unfinished", "", done, of), None
            if code == 0:
                break
            suspect = next((one for one in left if one.id == failed), left[0])
            again, _, _ = self.run([suspect], _alone_s(suspect))
            if again != 0:
                return Outcome("killed", failed or "nothing starts", done, of), suspect
            left = left[left.index(suspect) + 1 :]
        return Outcome("survived", "", of, of), None

    def _passes(self, suspect: Test) -> bool:
        """Return whether a test passes alone on unchanged code."""
        known = self._witnesses.known()
        if suspect.id not in known:
            code, _, _ = self.run([suspect], _alone_s(suspect))
            known[suspect.id] = code == 0
            self._witnesses.add(suspect, passes=known[suspect.id])
        return known[suspect.id]

    @contextmanager
    def _changed(self, path: Path, before: str, after: str) -> Iterator[None]:
        try:
            self._write(path, after)
            yield
        finally:
            self._write(path, before)

    def run(self, tests: Sequence[Test], seconds: float) -> tuple[int | None, int, str]:
        """Return the exit code (None: out of time), how many tests ran, and which one failed."""
        told = self._chosen.with_suffix(".told")
        told.unlink(missing_ok=True)
        self._chosen.write_text("\n".join(test.id for test in tests), encoding="utf-8")
        files = list(dict.fromkeys(test.id.partition("::")[0] for test in tests))
        limit = max(_LEAST_TIMEOUT_S, 5 * max(test.seconds for test in tests))
        arguments = ["-q", "-x", "-p", "tests.mutants.chosen", "--timeout", f"{limit:.0f}", *files]
        env = {"HEADRACE_CHOSEN": str(self._chosen)}
        with self._chosen.with_suffix(".log").open("w") as said:
            code = run_pytest(self._copy, arguments, env, seconds=seconds, said=said.fileno())
        lines = told.read_text(encoding="utf-8").splitlines() if told.exists() else []
        reports = [json.loads(line) for line in lines]
        failed = next((one["test"] for one in reports if one["failed"]), "")
        return code, len({one["test"] for one in reports}), failed

    def text(self, path: str) -> str:
        """Return the text of one of its files."""
        return (self._copy / path).read_text(encoding="utf-8")

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        self._second += 1
        os.utime(path, (self._second, self._second))

    def clear(self) -> None:
        """Remove what tests have left in the copy."""
        for name in (".headrace", ".hypothesis"):
            shutil.rmtree(self._copy / name, ignore_errors=True)


def _alone_s(test: Test) -> float:
    return 2 * test.seconds + 2 * _LEAST_TIMEOUT_S
