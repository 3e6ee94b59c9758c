"""Makes one fault in a copy of the tree and runs the tests that reach it until one fails."""

import json
import os
import shutil
import time
from collections.abc import Sequence
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


class Workplace:
    """A copy of the tree in which one fault at a time is made."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._chosen = copy.with_suffix(".chosen")
        # Bytecode is known by its source's size and second: no two versions may share them.
        self._second = int(time.time())

    def try_fault(self, fault: Fault, tests: Sequence[Test], seconds: float) -> Outcome:
        """Return the outcome; a test that has failed must fail a second time to count."""
        path = self._copy / fault.path
        before = path.read_text(encoding="utf-8")
        if not tests:
            return Outcome("unreached", "", 0, 0)
        try:
            self._write(path, fault.applied_to(before))
            return self._judge(tests, time.monotonic() + seconds)
        finally:
            self._write(path, before)

    def check(self, tests: Sequence[Test], seconds: float) -> None:
        """Raise SystemExit if unchanged code fails here: the copy would be at fault."""
        outcome = self._judge(tests, time.monotonic() + seconds)
        if outcome.verdict != "survived":
            raise SystemExit(f"{self._copy}: unchanged code fails here: {outcome}")

    def _judge(self, tests: Sequence[Test], end: float) -> Outcome:
        left = list(tests)
        while left:
            code, ran, failed = self._run(left, end - time.monotonic())
            done = len(tests) - len(left) + ran
            if code is None:
                return Outcome("unfinished", "", done, len(tests))
            if code == 0:
                return Outcome("survived", "", len(tests), len(tests))
            suspect = next((one for one in left if one.id == failed), left[0])
            again, _, _ = self._run([suspect], 2 * suspect.seconds + 2 * _LEAST_TIMEOUT_S)
            if again != 0:
                return Outcome("killed", failed or "nothing starts", done, len(tests))
            left = left[left.index(suspect) + 1 :]
        return Outcome("survived", "", len(tests), len(tests))

    def _run(self, tests: Sequence[Test], seconds: float) -> tuple[int | None, int, str]:
        """Return pytest's exit code, how many tests ran, and which one failed."""
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
