"""A job in a test, in memory: no server is there."""

import logging
import sys
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from headrace import BaseJob, InvalidPayload, JobFailure, get_db, logger
from headrace.jobs.fibonacci import Fibonacci
from headrace.jobs.shell_command import ShellCommand
from headrace.queue.message import Message
from headrace.testing import run_job
from headrace.testing.kept_messages import KeptMessages


class Says(BaseJob):
    def handle(self) -> Any:
        logger.info("from the logger")
        logging.getLogger("a.library").info("from a library")
        print("printed")
        print("warned", file=sys.stderr)
        sys.stdout.write("without an end")
        return {"said": 5}


class Takes(BaseJob):
    def __init__(self, day: date, count: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day, self.count = day, count

    def handle(self) -> Any:
        return [repr(self.day), self.count]


class Fails(BaseJob):
    def handle(self) -> None:
        raise JobFailure("the file is empty") from KeyError("a")


class Opens(BaseJob):
    def handle(self) -> None:
        with get_db() as db:
            db.execute(text("select 1"))


class Dispatches(BaseJob):
    def handle(self) -> str:
        return Fibonacci.dispatch(n=7)


class Large(BaseJob):
    def handle(self) -> str:
        return "x" * (2 << 20)


def test_a_job_without_a_session_runs_in_memory():
    outcome = run_job(Fibonacci, {"n": 10})

    assert (outcome.status, outcome.result, outcome.error) == ("completed", 55, None)
    assert outcome.logs == ("Calculating Fibonacci number for n=10",)


def test_what_a_job_logs_and_prints_is_in_its_logs_in_order():
    assert run_job(Says).logs == (
        "from the logger", "from a library", "printed", "warned", "without an end"
    )  # fmt: skip


def test_logging_and_the_standard_streams_are_afterwards_what_they_were():
    before = (sys.stdout, sys.stderr, logging.root.level, list(logging.root.handlers))
    run_job(Says)
    assert (sys.stdout, sys.stderr, logging.root.level, list(logging.root.handlers)) == before


def test_parameters_are_read_by_their_type_hints_as_those_of_a_row():
    for day in ("2025-01-31", date(2025, 1, 31)):
        outcome = run_job(Takes, {"day": day})
        assert outcome.result == ["datetime.date(2025, 1, 31)", 1]


@pytest.mark.parametrize(
    ("with_", "said"),
    [({}, 'needs the parameter "day"'), ({"day": "2025-01-31", "count": "1"}, '"count" of'),
     ({"day": "2025-01-31", "cuont": 1}, "cuont")],
)  # fmt: skip
def test_parameters_that_do_not_fit_are_refused_as_by_dispatch(with_: dict[str, Any], said: str):
    with pytest.raises(InvalidPayload, match=said):
        run_job(Takes, with_)


def test_a_failure_is_returned_with_its_error_and_traceback():
    outcome = run_job(Fails)

    assert outcome.status == "failed"
    assert outcome.error == "the file is empty\ncaused by KeyError: 'a'"
    assert outcome.traceback is not None
    assert 'raise JobFailure("the file is empty")' in outcome.traceback


def test_a_result_is_bounded_as_in_a_worker():
    outcome = run_job(Large)
    assert outcome.status == "failed"
    assert "the result is too large to be stored" in (outcome.error or "")


@pytest.mark.parametrize("job", [Opens, Dispatches])
def test_a_job_that_needs_a_database_fails_and_says_how_to_give_it_one(job: type[BaseJob]):
    outcome = run_job(job)
    assert outcome.status == "failed"
    assert "with database() as db: run_job(…, database=db)" in (outcome.error or "")


def test_a_class_of_a_test_function_can_be_run():
    class Local(BaseJob):
        def handle(self) -> int:
            return 3

    assert run_job(Local).result == 3


def test_programs_run_where_the_test_allows_them_and_their_output_is_logged():
    command = {"command": ["sh", "-c", "echo one; echo two >&2"]}

    refused = run_job(ShellCommand, command)
    allowed = run_job(ShellCommand, command, shell_commands=True)

    assert (refused.status, allowed.status) == ("failed", "completed")
    assert sorted(allowed.logs[-2:]) == ["one", "two"]


def test_many_dispatched_without_a_database_are_told_what_to_do():
    class Many(BaseJob):
        def handle(self) -> list[str]:
            return Fibonacci.dispatch_many([{"n": 7}, {"n": 8}])

    outcome = run_job(Many)

    assert outcome.status == "failed"
    assert outcome.error == (
        "the job dispatches Fibonacci, and run_job was given no database: with database()"
        " as db: run_job(…, database=db)"
    )


def test_a_kept_message_is_not_missing():
    kept = KeptMessages(lambda: None)  # type: ignore[arg-type,return-value]
    one, other = (Message(UUID(int=n), 1, "low", 60.0) for n in (1, 2))
    kept.send([one])

    assert kept.missing([one, other]) == [other]
