"""Lines of a process's log and of a job's: whose they are, how grave, and without secrets."""

import json
import logging
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.observe import logs, redaction
from headrace.observe.joblog import JobLog, level_name, packed
from headrace.observe.logpage import LONGEST_BYTES
from headrace.observe.records import said

ATTEMPT = SimpleNamespace(id=UUID(int=1), run_id=None, pipeline="p", step="load", attempt=2)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    factory = logging.getLogRecordFactory()
    logs.at_hand(None)  # A test before may have run an attempt in this process.
    yield
    logging.setLogRecordFactory(factory)
    logs.at_hand(None)
    redaction.forget()


def record(text: str = "done", *args: Any, level: int = 20, **more: Any) -> logging.LogRecord:
    made = logging.getLogRecordFactory()("headrace.x", level, "f", 1, text, args, None)
    vars(made).update(more)
    return made


def entry(one: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(logs.JsonLines("worker 1").format(one))
    return found


# -- of a process ---------------------------------------------------------------------


def test_a_line_is_about_the_job_at_hand_unless_it_says_about_which():
    plain = {"at", "level", "role", "logger", "message"}
    assert set(entry(record())) == plain
    assert entry(record(created=1.23456))["at"] == 1.235
    logs.at_hand(ATTEMPT)
    told = entry(record())
    assert {name: told[name] for name in told.keys() - plain} == {
        "job_id": str(UUID(int=1)), "pipeline": "p", "step": "load", "attempt": 2,
    }  # fmt: skip
    other = record(**logs.about(job_id=UUID(int=2), step="other"))
    told = entry(other)
    assert {name: told[name] for name in told.keys() - plain} == {
        "job_id": str(UUID(int=2)), "step": "other",
    }  # fmt: skip
    logs.at_hand(SimpleNamespace(**{**vars(ATTEMPT), "run_id": UUID(int=3)}))
    assert entry(record())["run_id"] == str(UUID(int=3))
    assert entry(record(**logs.about(run_id=UUID(int=4))))["run_id"] == str(UUID(int=4))


@pytest.mark.parametrize(
    ("level", "kind"), [(10, "debug: "), (20, ""), (30, "warning: "), (50, "critical: ")]
)
def test_a_plain_line_says_what_is_more_or_less_than_information(level: int, kind: str):
    assert logs.PlainLines("web").format(record(level=level)).endswith(f" web      {kind}done")


def test_each_second_has_its_own_time():
    lines = logs.PlainLines("web")
    seconds = [lines.format(record(created=at))[17:19] for at in (1.0, 1.9, 2.0, 61.0)]

    assert seconds == ["01", "01", "02", "01"]


def test_a_secret_is_in_no_line_and_in_no_traceback_of_one():
    redaction.hide("s3cret-word")
    try:
        raise ValueError("s3cret-word")
    except ValueError as error:
        failed = record(
            "it is %s", "s3cret-word", exc_info=(ValueError, error, error.__traceback__)
        )
    for formatter in (logs.PlainLines("x"), logs.JsonLines("x")):
        line = formatter.format(failed)
        assert "s3cret-word" not in line
        # In the message, in the line of code, and in the error.
        assert line.count("***") == 3


def test_every_record_of_a_process_is_made_without_secrets():
    logs.redact_records()
    assert record("it is %s", "s3cret-word").getMessage() == "it is s3cret-word"
    redaction.hide("s3cret-word")
    made = record("it is %s", "s3cret-word")
    assert (made.msg, made.args) == ("it is ***", ())
    try:
        raise ValueError("s3cret-word")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
        failed = logging.getLogRecordFactory()("x", 20, "f", 1, "oh", (), info)
    assert failed.exc_text is not None
    assert failed.exc_text.endswith("ValueError: ***")


@pytest.mark.parametrize(
    ("level", "name", "of", "is_shown"),
    [
        ("info", "headrace.job", 20, False),
        ("info", "headrace.job.own", 30, True),
        ("info", "headrace.worker", 20, True),
        ("debug", "headrace.job", 10, True),
        ("error", "headrace.job", 30, False),
        ("error", "headrace.job", 40, True),
    ],
)
def test_of_what_jobs_say_the_process_s_log_has_warnings(
    level: str, name: str, of: int, is_shown: bool
):
    shown = logs._JobLines(logs.LEVELS[level])
    one = record(level=of)
    one.name = name

    assert shown.filter(one) is is_shown


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_arguments_that_do_not_fit_their_text_are_told_and_not_raised():
    told = "%d %s ('a',) [TypeError: %d format: a real number is required, not str]"
    assert said(record("%d %s", "a")) == told
    assert said(record("%s", Broken())) == "%s <tuple> [RuntimeError: no text]"
    assert said(record(Broken())) == "<Broken> () [RuntimeError: no text]"  # type: ignore[arg-type]
    try:
        raise ValueError("why")
    except ValueError as error:
        failed = record("oh", exc_info=(ValueError, error, error.__traceback__))
    assert said(failed) == "oh"
    assert said(failed, with_traceback=True).splitlines()[-1] == "ValueError: why"


# -- of a job -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (0, "debug"), (19, "debug"), (20, "info"), (29, "info"), (30, "warning"), (39, "warning"),
        (40, "error"), (49, "error"), (50, "critical"), (99, "critical"),
    ],
)  # fmt: skip
def test_a_level_is_called_as_the_nearest_standard_one_below(level: int, name: str):
    assert level_name(level) == name


def test_a_line_is_kept_as_postgresql_can_hold_it_without_secrets_and_not_too_long():
    assert packed(b"\xff!") == "\ufffd!".encode()
    redaction.hide("s3cret-word")
    assert packed("x" * 3999 + "s3cret-word") == b"x" * 3999 + "…".encode()
    assert packed("y" * 4000) == b"y" * 4000
    assert packed("y" * 4001) == b"y" * 3999 + "…".encode()
    assert len(packed("\U0001f682" * 4001)) == 15_999 < LONGEST_BYTES


def messages(log: JobLog) -> list[tuple[str, str]]:
    left = log.unkept
    return [(one["level"], one["message"]) for one in left.entries] if left else []


def test_a_log_has_what_its_attempt_says_and_what_others_say_meanwhile():
    log = JobLog()
    log.say(["before any attempt"])
    log.begin(UUID(int=1), 1)
    assert (log.listening, log.said, log.unkept) == (True, False, None)
    for name in ("headrace.worker", "headrace.job", "sqlalchemy", "headracer"):
        one = record("by %s", name, level=30)
        one.name = name
        log.emit(one)
    log.say_one("at last", 40)

    assert messages(log) == [
        ("warning", "by headrace.job"), ("warning", "by sqlalchemy"), ("warning", "by headracer"),
        ("error", "at last"),
    ]  # fmt: skip
    log.end()
    log.say(["after it"])
    assert (log.listening, log.said, len(messages(log))) == (False, True, 4)
    log.begin(UUID(int=2), 1)
    assert not log.said
    log.say([b"as bytes"])
    assert messages(log) == [("info", "as bytes")]


def test_what_is_unkept_says_from_when_to_when_it_is():
    log = JobLog()
    log.begin(UUID(int=1), 3)
    for at in (5.0, 7.0, 9.0):
        log.say(["x"], at=at)
    log.page.keep(UUID(int=1), 3, 1)

    left = log.unkept

    assert left is not None
    assert (left.job_id, left.attempt, left.last, left.left_out) == (UUID(int=1), 3, 3, None)
    assert (left.since, left.until) == (7.0, 9.0)
    assert [one["line"] for one in left.entries] == [2, 3]


def test_a_process_that_the_job_has_forked_says_its_lines_over_its_output():
    log = JobLog()
    log.begin(UUID(int=1), 1)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        log.say(["ä\ud800", b"\xff"])
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said_there:
        assert said_there.read() == "ä?\n".encode() + b"\xff\n"
    assert not log.said
