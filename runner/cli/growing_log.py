"""`headrace logs --follow`: lines of a job, or of a run's jobs, as they are written."""

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.cli.log_text import line_text, with_step
from headrace.cli.outlet import encodes_everything
from headrace.cli.printing import plain
from headrace.errors import NotFound, StoreUnavailable
from headrace.model import exact_json
from headrace.model.status import FINAL, RUN_FINAL
from headrace.observe.terminal_text import visible

if TYPE_CHECKING:
    from headrace.engine.application import Headrace
    from headrace.store.database import Row

_LOOK_S = 0.5
# Attempts in one query.
_AT_ONCE = 1000


def print_growing(
    headrace: "Headrace", kind: str, row: Mapping[str, Any], *, as_json: bool
) -> bool:
    """Print what has been said and what is said from now on, until the job or run has ended.

    As JSON, each line is an object on a line of its own. Returns whether there was any line.

    Raises:
        NotFound: The job or run was deleted meanwhile.
    """
    source = _RunJobs(headrace, row["id"]) if kind == "run" else _OneJob(headrace, row["id"])
    printer = _Printer(headrace, as_json=as_json, of_run=kind == "run")
    away = False
    while True:
        try:
            ended = source.look()
            printer.show(source.changed if not ended else source.jobs.values(), whole=ended)
            if ended:
                break
            away = False
        except StoreUnavailable as error:
            if not away:
                print(f"{error}; waiting for it", file=sys.stderr)
            away = True
        time.sleep(_LOOK_S)
    if source.was_open:
        # What a job's process leaves when it is killed is written by its parent a moment later.
        time.sleep(_LOOK_S)
        printer.show(source.jobs.values(), whole=True)
    return printer.printed


class _OneJob:
    """A job, as a source of lines."""

    def __init__(self, headrace: "Headrace", job_id: UUID) -> None:
        self._headrace = headrace
        self._id = job_id
        self.jobs: dict[str, Row] = {}
        self.was_open = False

    @property
    def changed(self) -> Iterable["Row"]:
        """The jobs that may have said something since the last look."""
        return self.jobs.values()

    def look(self) -> bool:
        """Look at the job, and return whether it has ended."""
        row = self._headrace.database.row("job", id=self._id)
        if row is None:
            raise NotFound(f"the job {self._id} was deleted")
        self.jobs = {str(row["id"]): row}
        ended = row["status"] in FINAL
        self.was_open |= not ended
        return ended


class _RunJobs:
    """The jobs of a run, as sources of lines."""

    def __init__(self, headrace: "Headrace", run_id: UUID) -> None:
        from headrace.store.run_watch import RunWatch

        self._id = run_id
        self._watch = RunWatch(headrace.database, run_id)
        self.jobs: dict[str, dict[str, Any]] = self._watch.jobs
        self.changed: Iterable[Row] = ()
        self.was_open = False

    def look(self) -> bool:
        """Look at what has changed, and return whether the run has ended."""
        run = self._watch.look()
        if run is None:
            raise NotFound(f"the run {self._id} was deleted")
        self.changed = run["jobs"]
        ended = run["status"] in RUN_FINAL
        self.was_open |= not ended
        return ended


class _Printer:
    """Prints lines that it has not printed yet."""

    def __init__(self, headrace: "Headrace", *, as_json: bool, of_run: bool) -> None:
        self._headrace = headrace
        self._as_json = as_json
        self._of_run = of_run
        # The last line that was printed of each attempt.
        self._seen: dict[tuple[str, int], int] = {}

    @property
    def printed(self) -> bool:
        """Return whether there was any line."""
        return bool(self._seen)

    def show(self, jobs: Iterable["Row"], *, whole: bool) -> None:
        """Print new lines of jobs: of their last two attempts, or with `whole` of all of them."""
        steps = {str(job["id"]): job["step"] for job in jobs}
        attempts = [
            {"job": str(job["id"]), "attempt": number}
            for job in jobs
            for number in range(1 if whole else max(1, job["attempt"] - 1), job["attempt"] + 1)
        ]
        for start in range(0, len(attempts), _AT_ONCE):
            for line in self._new(attempts[start : start + _AT_ONCE]):
                job = str(line["job_id"])
                self._seen[job, line["attempt"]] = line["line"]
                self._print(with_step(line, steps[job]))
        sys.stdout.flush()

    def _new(self, attempts: list[dict[str, Any]]) -> list["Row"]:
        seen = [
            {**one, "line": self._seen.get((one["job"], one["attempt"]), -1)} for one in attempts
        ]
        return self._headrace.database.rows("logs_of_attempts", seen=json.dumps(seen))

    def _print(self, line: Mapping[str, Any]) -> None:
        if not self._as_json:
            print(line_text(line, of_run=self._of_run))
            return
        text = exact_json.dumps(
            line, default=plain, ensure_ascii=not encodes_everything(), compact=True
        )
        print(visible(text))
