"""What an attempt's row keeps: words of errors, results, outcomes of runs; and its environment."""

import json
import os
import time
from contextlib import nullcontext
from datetime import date
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from headrace.engine.attempts.error_text import MOST_ERROR, MOST_TRACEBACK, frames, text_of
from headrace.engine.attempts.job_environment import environment
from headrace.engine.attempts.job_making import ArgumentsNotMade, ClassNotMade, NotMade, job_of
from headrace.engine.attempts.job_result import MOST_BYTES, stored
from headrace.engine.attempts.outcome import Raised, raised, retry_in_s
from headrace.engine.attempts.subpipeline_result import child_result
from headrace.engine.attempts.surroundings import JobAttempts, Surroundings
from headrace.errors import (
    ChildRunFailed,
    InvalidPayload,
    InvalidResult,
    JobFailure,
    RefusedSql,
    TemplateError,
    TransactionEnded,
    UnknownJobClass,
)
from headrace.model import exact_json
from headrace.store.sessions import JobSessions
from tests.support.claimed import claimed
from tests.support.fake_database import FakeDatabase


def caused(error: BaseException, cause: BaseException | None, *, told: bool = True) -> Any:
    if told:
        error.__cause__ = cause
    else:
        error.__context__ = cause
    return error


class Mute(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class OfALibrary(Exception):
    """Wraps the driver's error, as SQLAlchemy does."""

    def __init__(self, orig: BaseException) -> None:
        super().__init__("(long) words")
        self.orig = orig


_CHAIN = caused(
    ValueError("1"),
    caused(ValueError("2"), caused(ValueError("3"), caused(ValueError("4"),
    caused(ValueError("5"), ValueError("6"))))),
)  # fmt: skip
_SILENT = caused(ValueError("out"), KeyError("in"), told=False)
_SUPPRESSED = caused(ValueError("out"), KeyError("in"), told=False)
_SUPPRESSED.__suppress_context__ = True


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (JobFailure("7 rows are wrong"), "7 rows are wrong"),
        (JobFailure(""), "JobFailure"),
        (Mute(), "Mute: (its text cannot be shown: RuntimeError)"),
        (SystemExit(), "SystemExit: the job called sys.exit(); a job ends by"),
        (SystemExit(3), "SystemExit: the job called sys.exit(3); a job ends by"),
        (caused(ValueError("b"), KeyError("k")), "ValueError: b\ncaused by KeyError: 'k'"),
        (caused(ValueError("b"), ValueError("b")), "ValueError: b"),
        (_SILENT, "ValueError: out\ncaused by KeyError: 'in'"),
        (_SUPPRESSED, "ValueError: out"),
        (OfALibrary(OSError(" gone \n")), "OSError: gone"),
        (caused(OfALibrary(OSError("x")), KeyError("k")), "OSError: x\ncaused by KeyError: 'k'"),
        (_CHAIN, "\ncaused by ".join(f"ValueError: {n}" for n in range(1, 6))),
    ],
)
def test_an_error_is_told_by_type_and_text_and_by_what_caused_it(
    error: BaseException, words: str
) -> None:
    told = text_of(error)

    assert told.startswith(words) if words.endswith("ends by") else told == words


def test_the_drivers_own_error_is_not_told_a_second_time_as_a_cause() -> None:
    driver = caused(OSError("x"), KeyError("deeper"))
    error = caused(OfALibrary(driver), driver)

    assert text_of(error) == "OSError: x\ncaused by KeyError: 'deeper'"


def test_notes_of_an_error_and_of_its_causes_follow_its_words_once() -> None:
    error, cause = ValueError("b"), KeyError("k")
    cause.add_note("job 7 holds the lock")
    error.add_note("job 7 holds the lock")
    error.add_note("grant it")

    told = text_of(caused(error, cause)).split("\n")

    assert told[2:] == ["job 7 holds the lock", "grant it"]


def test_words_and_stacks_are_cut_where_they_say_least() -> None:
    with pytest.raises(ValueError, match="x") as found:
        raise ValueError("x" * MOST_TRACEBACK)

    assert text_of(found.value) == ("ValueError: " + "x" * MOST_ERROR)[: MOST_ERROR - 1] + "…"
    assert frames(found.value) == "…" + "x" * (MOST_TRACEBACK - 2) + "\n"


# -- whether another attempt follows --------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "permanent"),
    [
        (InvalidPayload("x"), True),
        (InvalidResult("x"), True),
        (RefusedSql("x"), True),
        (TemplateError("x"), True),
        (TransactionEnded("x"), True),
        (UnknownJobClass("x"), True),
        (ClassNotMade("x"), True),
        (ArgumentsNotMade("x"), True),
        (JobFailure("x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_the_declaration_got_wrong_is_not_tried_again(
    error: Exception, permanent: bool
) -> None:
    told = raised(error)

    assert told.permanent == permanent
    assert told.not_made == isinstance(error, NotMade)
    assert (told.retry_in_s({"limit": 3}, 0) is None) == permanent
    assert type(error).__name__ in told.kinds
    assert told.said == "x"
    assert "Error" in told.traceback or "x" in told.traceback


def test_a_lasting_error_is_tried_again_only_where_the_policy_says_so() -> None:
    lasting = Raised("OSError: bad", "", lasting=True, kinds=frozenset({"OSError"}), said="bad")
    policy = {"limit": 2, "delay_s": 5.0, "jitter": False}

    assert lasting.retry_in_s(policy, 0) is None
    assert lasting.retry_in_s({**policy, "when": ["OSError"]}, 0) == 5.0
    assert lasting.retry_in_s({**policy, "when": "^bad"}, 0) == 5.0
    assert lasting.retry_in_s({**policy, "when": "^OSError: bad"}, 0) == 5.0
    assert lasting.retry_in_s({**policy, "when": ["KeyError"]}, 0) is None
    assert lasting.retry_in_s({**policy, "when": ["OSError"]}, 2) is None


def test_the_pause_before_an_attempt_is_that_of_its_number() -> None:
    policy = {"limit": 3, "intervals_s": [1.0, 7.0], "jitter": False}

    assert [retry_in_s(policy, spent, (), "x") for spent in range(4)] == [1.0, 7.0, 7.0, None]


# -- results --------------------------------------------------------------------------------------


class Colour(Enum):
    RED = "red"


class Odd:
    """Shown by its own words, which PostgreSQL has no place for."""

    def __str__(self) -> str:
        return "odd\0"


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        (None, None),
        (0, 0),
        (False, False),
        ([float("nan"), float("inf"), float("-inf")], ["NaN", "Infinity", "-Infinity"]),
        ({"d": Decimal("Infinity"), "e": Decimal("1.50")}, {"d": "Infinity", "e": 1.5}),
        ({None: 1, True: 2, 3: 4, (5, 6): 7}, {"null": 1, "true": 2, "3": 4, "(5, 6)": 7}),
        ({"a\0b": "c\0d"}, {"a\ufffdb": "c\ufffdd"}),
        (["x\ud800y", "\U0001f600"], ["x\ufffdy", "\U0001f600"]),
        (("a", 1, None, True, 1.5), ["a", 1, None, True, 1.5]),
        ([UUID(int=1)], [str(UUID(int=1))]),
        ({"odd": Odd(), (1, 2): Odd()}, {"odd": "odd\ufffd", "(1, 2)": "odd\ufffd"}),
        ([[1], [1]], [[1], [1]]),
        ({"days": {date(2026, 1, 2)}, "none": frozenset()}, {"days": ["2026-01-02"], "none": []}),
        ([Colour.RED, {"of": Colour.RED}], ["red", {"of": "red"}]),
        ({Colour.RED: {Colour.RED}, "n": float("nan")}, {"red": ["red"], "n": "NaN"}),
        (
            {"n": [Decimal("1e400"), -Decimal("inf"), Decimal("sNaN"), 10**400, float("inf")]},
            {"n": [Decimal("1e400"), "-Infinity", "NaN", 10**400, "Infinity"]},
        ),
        ({"told": "é".encode(), "raw": b"\xff"}, {"told": "é", "raw": "b'\\xff'"}),
    ],
)  # fmt: skip
def test_a_result_is_kept_as_json_that_postgresql_takes(result: Any, kept: Any) -> None:
    text = stored(result)

    assert (None if text is None else exact_json.loads(text)) == kept


def test_the_same_list_twice_is_no_circle() -> None:
    once = [float("nan")]

    assert stored([once, once]) == '[["NaN"], ["NaN"]]'


def test_a_result_is_kept_up_to_its_limit_and_refused_with_its_size_beyond() -> None:
    fits = "x" * (MOST_BYTES - 2)
    assert stored(fits) == f'"{fits}"'
    with pytest.raises(InvalidResult, match=r"too large to be stored: 1024 kB of at most 1024;"):
        stored(fits + "x")
    with pytest.raises(InvalidResult, match=r"even without its rows: 2048 kB of\s*at most 1024"):
        stored({"rows": [1], "note": "x" * (2 * MOST_BYTES)})
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidResult, match="nested too deeply"):
        stored(deep)


def test_as_many_rows_are_kept_as_fit() -> None:
    row = ["x" * 1000]
    for rows in ([row] * 2000, tuple([row] * 2000)):
        text = stored({"rows": rows, "row_count": 2000})
        assert text is not None
        found = json.loads(text)
        assert (found["row_count"], found["truncated"]) == (2000, True)
        one_more = json.dumps({**found, "rows": [*found["rows"], row]}, separators=(", ", ": "))
        assert len(text) <= MOST_BYTES < len(one_more)
    one = stored({"rows": ["y" * MOST_BYTES]})
    assert json.loads(one or "") == {"rows": [], "truncated": True}
    with pytest.raises(InvalidResult, match="too large to be stored"):
        stored({"rows": "y" * MOST_BYTES})


# -- the run of a step ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("failed", None, "run 7 of child has failed"),
        ("failed", "no slot", "run 7 of child has failed: no slot"),
        ("cancelled", None, "run 7 of child was cancelled"),
        ("skipped", "full", "run 7 of child was skipped: full"),
        ("running", None, "run 7 of child is running again; retry this step to wait for it"),
        ("queued", "old", "run 7 of child is queued again; retry this step to wait for it"),
    ],
)
def test_a_step_fails_with_how_its_run_has_ended(
    status: str, error: str | None, words: str
) -> None:
    row = {"id": 7, "pipeline": "child", "status": status, "error": error}
    store: Any = FakeDatabase({"child_of_job": [row]})

    with pytest.raises(ChildRunFailed) as told:
        child_result(store, UUID(int=1))

    assert str(told.value) == words


def test_a_step_returns_the_run_that_has_completed_and_misses_one_that_was_deleted() -> None:
    row = {"id": 7, "pipeline": "child", "status": "completed", "error": None}
    store: Any = FakeDatabase({"child_of_job": [row]})

    assert child_result(store, UUID(int=1)) == {"run": "7", "status": "completed"}
    with pytest.raises(ChildRunFailed, match="waited for was deleted"):
        child_result(cast("Any", FakeDatabase()), UUID(int=1))


# -- making a job, and its surroundings -----------------------------------------------------------


_OF_ARGUMENTS = (TypeError, ValueError, LookupError, AttributeError, NameError, AssertionError)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UnknownJobClass("no such class"), ClassNotMade, "no such class"),
        (InvalidPayload("no such key"), ArgumentsNotMade, "no such key"),
        *(
            (kind("why"), ArgumentsNotMade, f"Load does not accept its arguments: {kind.__name__}")
            for kind in _OF_ARGUMENTS
        ),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_made_here_may_be_made_elsewhere(
    error: Exception, kind: type[Exception], words: str
) -> None:
    def make(*_given: Any) -> None:
        raise error

    registry: Any = SimpleNamespace(make=make)

    with pytest.raises(kind, match=words):
        job_of(registry, "Load", {})


def test_what_a_constructor_raises_otherwise_is_its_own() -> None:
    def make(*_given: Any) -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        job_of(cast("Any", SimpleNamespace(make=make)), "Load", {})


class Sessions:
    """Notes whether connections are to be the job's own."""

    def __init__(self) -> None:
        self.renewed_with: list[bool] = []

    def renewed(self, yes: bool) -> Any:
        self.renewed_with.append(yes)
        return nullcontext()


@pytest.fixture
def sessions() -> Sessions:
    return Sessions()


def test_variables_hold_for_the_block_and_all_is_as_before_after_it(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT", "before")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    as_one: Any = sessions

    with environment({"KEPT": "now", "NEW": "x", "TZ": "Asia/Kolkata"}, as_one):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("now", "x")
        assert time.localtime(0).tm_min == 30
        os.environ["OF_THE_JOB"] = "1"
        del os.environ["KEPT"]

    assert os.environ["KEPT"] == "before"
    assert not {"NEW", "OF_THE_JOB"} & set(os.environ)
    assert time.localtime(0).tm_min == 0
    with environment({"PGHOST": "x"}, as_one), environment(None, as_one), environment({}, as_one):
        assert os.environ["PGHOST"] == "x"
    assert sessions.renewed_with == [False, True]


def test_a_variable_that_is_not_set_is_named_and_changes_nothing(sessions: Sessions) -> None:
    before = dict(os.environ)
    env = {"FIRST": "x", "TOKEN": "${NOT_SET_ANYWHERE}"}

    with pytest.raises(JobFailure) as told, environment(env, cast("Any", sessions)):
        pytest.fail("the block must not run")

    assert str(told.value).startswith("env.TOKEN: ")
    assert "NOT_SET_ANYWHERE" in str(told.value)
    assert dict(os.environ) == before


def test_a_job_is_told_its_attempt() -> None:
    place: Any = SimpleNamespace(of=lambda folder: f"folders of {folder}")
    given = Surroundings(cast("Any", "project"), place, cast("Any", None))
    log: Any = SimpleNamespace(say="say")
    attempts = JobAttempts(given, cast("JobSessions", "sessions"), log)
    of_run = claimed(
        attempt=3, folder="sub", pipeline="p", step="s", run_id=UUID(int=5), logical_date=None
    )

    told: Any = attempts.of(of_run, cast("Any", "meter"))
    alone: Any = attempts.of(claimed(), cast("Any", "meter"))

    assert (told.job_id, told.attempt, told.project) == (str(of_run.id), 3, "project")
    assert (told.folders, told.sessions, told.meter) == ("folders of sub", "sessions", "meter")
    assert (told.pipeline, told.step, told.run_id) == ("p", "s", str(UUID(int=5)))
    assert (told.authored, alone.authored, alone.run_id) == (True, False, None)
    assert told.say == "say"
