"""One attempt in a child: made, handled and ended, whatever goes wrong on the way."""

import json
import logging
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace import hooks, jobapi
from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.foreach import Expansion
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.attempts.run_progress import RunProgress
from headrace.errors import (
    ChildRunFailed,
    JobStopped,
    StaleAttempt,
    StoreUnavailable,
    UnknownJobClass,
)
from headrace.observe.joblog import JobLog
from headrace.queue.message import Message
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.attempts import Claimed, Completed, CompletedBatch
from tests.support.claimed import claimed
from tests.support.fake_database import FakeDatabase
from tests.support.noting import note

JOB = claimed(id=UUID(int=1), retry=json.dumps({"limit": 1, "delay_s": 5.0, "jitter": False}))


class Job:
    """A job that does what a test says."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def handle(self) -> Any:
        return self.does()  # type: ignore[attr-defined]


class Store(FakeDatabase):
    """A child's connection."""

    is_broken = False
    url = "postgresql://nowhere"

    def broken(self, _error: BaseException) -> bool:
        return self.is_broken

    def finish_run(self, _run: UUID) -> list[Any]:
        return []

    def completing(self, *given: Any) -> str:
        return f"complete {given[1]}"

    def complete(self, *given: Any, **named: Any) -> Completed:
        self.asked.append(("complete", {"result": given[1], **named}))
        return Completed(JOB.run_id, JOB.dependents)


class Stand:
    """An executor among fakes; `said` is what its sessions were told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        note = self.said.append
        self.store = Store()
        self.ended: str | None = None
        self.job: Any = Job(does=lambda: {"rows": 1})
        self.made: Exception | None = None
        self.at_once = True
        self.sessions = SimpleNamespace(
            begin=lambda job, attempt: note(("begun", job.int, attempt)),
            handled=lambda: note("handled"),
            roll_back=lambda: note("rolled back"),
            verdict=lambda: self.ended,
            explain=lambda error: error.add_note("explained"),
            work_as=lambda role: note(("works as", role)),
            commit_targets=lambda: note("targets committed"),
            refuse_disorder=lambda: note("in order"),
            commit_control=self._commit,
            renewed=lambda _yes: nullcontext(),
            used=False,
            number=None,
            lock_timeout_s="none",
            opened_after_s=None,
            sharing=None,
        )
        registry = SimpleNamespace(
            make=self._make,
            works_at_once=bool,
            begins_at_once=lambda job_class, payload: (job_class, payload),
        )
        folders = SimpleNamespace(of=lambda folder: folder)
        place = SimpleNamespace(
            project="project", folders=folders, permissions=None, render=lambda text, _values: text
        )
        made: Any = (self.store, self.sessions, registry, place, JobLog())
        self.executor = Executor(*made)
        self.executor.tidy = lambda: note("tidied up")

    def _make(self, job_class: str, payload: Any) -> Any:
        self.said.append(("made", job_class, payload))
        if self.made is not None:
            raise self.made
        return self.job

    def _commit(self, completing: str | None = None, **named: Any) -> bool:
        self.said.append(("committed", completing, named))
        return self.at_once

    def handle(self, job: Claimed = JOB) -> Any:
        return self.executor.handle(job)

    def raises(self, error: BaseException) -> None:
        def fail() -> None:
            raise error

        self.job.does = fail


@pytest.fixture
def stand() -> Stand:
    return Stand()


# -- handling -------------------------------------------------------------------------------------


def test_a_job_is_handled_in_its_surroundings_which_are_gone_after_it(stand: Stand) -> None:
    seen: list[Any] = []
    stand.job.does = lambda: note(seen, jobapi.current().job_id, {"n": 1})

    assert stand.handle() == Handled('{"n": 1}', plain=True)

    assert seen == [str(JOB.id)]
    assert stand.said == [
        ("begun", 1, 1),
        ("made", "Short", {}),
        ("works as", None),
        "targets committed",
        "handled",
        "tidied up",
    ]
    with pytest.raises(Exception, match="no job is running here"):
        jobapi.current()


@pytest.mark.parametrize(
    ("used", "pool", "transactional", "plain"),
    [
        (False, None, None, True),
        (False, None, True, True),
        (False, None, False, False),
        (True, None, None, False),
        (False, "p", None, False),
    ],
)
def test_a_job_is_plain_that_leaves_nothing_but_its_result(
    stand: Stand, used: bool, pool: str | None, transactional: bool | None, plain: bool
) -> None:
    stand.sessions.used = used
    if transactional is not None:
        stand.job.transactional = transactional

    assert stand.handle(claimed(pool=pool)).plain == plain


def test_what_several_jobs_share_is_committed_by_none_of_them(stand: Stand) -> None:
    stand.sessions.sharing = SimpleNamespace()

    stand.handle()

    assert "targets committed" not in stand.said
    assert stand.said[-2:] == ["handled", "tidied up"]


def test_a_job_may_say_how_long_it_waits_for_locks_and_as_whom_it_works(stand: Stand) -> None:
    stand.handle()
    limits: list[Any] = [stand.sessions.lock_timeout_s]
    stand.job.lock_timeout, stand.job.works_as = "2m", "loader"
    stand.handle()
    limits.append(stand.sessions.lock_timeout_s)
    assert limits == [None, 120.0]
    assert ("works as", "loader") in stand.said


def test_an_error_of_the_jobs_own_is_told_with_what_the_sessions_know(stand: Stand) -> None:
    stand.raises(ValueError("bad"))

    told = stand.handle()

    assert (told.error, told.permanent) == ("ValueError: bad\nexplained", False)
    assert "targets committed" not in stand.said
    assert stand.said[-2:] == ["handled", "tidied up"]


def test_a_job_that_exits_has_failed(stand: Stand) -> None:
    stand.raises(SystemExit(3))

    assert stand.handle().error.startswith("SystemExit: the job called sys.exit(3)")


@pytest.mark.parametrize(
    "error", [StaleAttempt("over"), KeyboardInterrupt(), JobStopped("stopped")]
)
def test_what_is_not_the_jobs_to_tell_goes_on(stand: Stand, error: BaseException) -> None:
    stand.raises(error)

    with pytest.raises(type(error)):
        stand.handle()

    assert stand.said[-2:] == ["handled", "tidied up"]


def test_an_error_that_has_broken_the_line_is_an_outage(stand: Stand) -> None:
    stand.store.is_broken = True
    stand.raises(ValueError("server closed the connection"))

    with pytest.raises(StoreUnavailable, match="server closed the connection"):
        stand.handle()


def test_a_run_that_has_failed_fails_its_step_for_good_in_its_own_words(stand: Stand) -> None:
    stand.raises(ChildRunFailed("run 7 has failed"))

    assert stand.handle() == Raised("run 7 has failed", "", permanent=True)


def test_an_effect_that_an_earlier_attempt_has_committed_is_a_success(stand: Stand) -> None:
    stand.raises(EffectApplied())

    assert stand.handle() == Handled(None)
    assert "rolled back" in stand.said
    stand.ended = "its SQL ended the transaction"
    told = stand.handle()
    assert isinstance(told, Raised)
    assert (told.permanent, told.error) == (True, "its SQL ended the transaction")


def test_a_step_that_runs_a_pipeline_returns_what_became_of_its_run(stand: Stand) -> None:
    row = {"id": 7, "pipeline": "child", "status": "completed", "error": None}
    stand.store.answers["child_of_job"] = [row]

    told = stand.handle(claimed(job_class="pipeline child"))

    assert told == Handled('{"run": "7", "status": "completed"}')
    assert not [said for said in stand.said if said[0] == "made"]


# -- completing -----------------------------------------------------------------------------------


def complete(stand: Stand, job: Claimed = JOB, then: Any = None) -> Completed:
    return stand.executor.complete(job, Handled('"x"'), then)


def test_a_job_without_a_session_is_completed_and_nothing_committed(stand: Stand) -> None:
    complete(stand)

    assert stand.store.values_of("complete") == [{"result": '"x"', "xact": None}]
    assert stand.said == ["in order"]


def test_one_with_a_session_is_completed_and_committed_in_one_message(stand: Stand) -> None:
    stand.sessions.number = "5"
    following = claimed(job_class="Next", payload={"a": 1})

    told = complete(stand, then=following)

    assert told == Completed(JOB.run_id, 0)
    assert stand.store.values_of("complete") == []
    assert stand.said[1:] == [("committed", 'complete "x"', {"ahead": ("Next", {"a": 1})})]


def test_where_that_does_not_go_the_two_are_done_one_after_the_other(stand: Stand) -> None:
    stand.sessions.number, stand.at_once = "5", False
    job = claimed(dependents=1)
    asked: list[Completed] = []

    def then(completed: Completed) -> Claimed:
        asked.append(completed)
        return claimed(job_class="Next")

    complete(stand, job, then)

    assert len(asked) == 1
    assert stand.store.values_of("complete") == [{"result": '"x"', "xact": "5"}]
    assert [said[1:] for said in stand.said if said[0] == "committed"] == [
        ('complete "x"', {"ahead": False}),
        (None, {"ahead": ("Next", {})}),
    ]
    # It is not tried with the next one of this kind.
    stand.said.clear()
    complete(stand, job)
    assert [said[1] for said in stand.said if said[0] == "committed"] == [None]


def test_with_a_hook_before_attempts_none_begins_in_the_message_before(
    stand: Stand,
) -> None:
    @hooks.before_attempt
    def look(_info: Any) -> None:
        """Be there."""

    try:
        stand.sessions.number = "5"
        complete(stand, then=claimed())
        assert stand.said[-1] == ("committed", 'complete "x"', {"ahead": False})
    finally:
        hooks.forget([look])


@pytest.mark.parametrize("expansion", [None, Expansion("Short", (), ())])
def test_hooks_are_told_of_each_completion_once_it_is_recorded(
    stand: Stand, expansion: Expansion | None
) -> None:
    told: list[Any] = []
    hooks.after_attempt(told.append)
    try:
        stand.executor.complete(JOB, Handled('{"n": 1}', expansion=expansion))
        stand.executor.hooks.after()
    finally:
        hooks.forget([told.append])

    assert [(one.status, one.result) for one in told] == [
        ("completed", None if expansion else {"n": 1})
    ]


# -- failing --------------------------------------------------------------------------------------


def failed(stand: Stand, **row: Any) -> None:
    usual = {"id": JOB.id, "status": "failed", "run_id": None, "dependents": 0}
    stand.store.answers["fail_attempt"] = [{**usual, "allow_failure": False, **row}]


def test_a_failure_is_recorded_with_when_it_is_tried_again(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    failed(stand, dependents=1)

    stand.executor.give_up(JOB, Raised("bad", "stack"))

    assert stand.said == ["rolled back"]
    assert stand.store.values_of("fail_attempt") == [
        {"id": JOB.id, "attempt": 1, "outcome": "failed", "error": "bad", "traceback": "stack",
         "retry_in": 5.0}
    ]  # fmt: skip
    assert stand.store.values_of("update_dependants") == [{"upstream": [JOB.id]}]
    assert f"job {JOB.id} Short failed: bad" in caplog.text


def test_a_job_that_has_ended_its_transaction_is_not_tried_again(stand: Stand) -> None:
    failed(stand)
    stand.ended = "its SQL ended the transaction"

    stand.executor.give_up(JOB, Raised("bad", ""))
    told = Raised("ended so and so", "", kinds=frozenset({"TransactionEnded"}))
    stand.executor.give_up(JOB, told)

    first, second = stand.store.values_of("fail_attempt")
    assert (first["error"], first["retry_in"]) == ("its SQL ended the transaction\nbad", None)
    assert (second["error"], second["retry_in"]) == ("its SQL ended the transaction", None)


def test_an_attempt_that_is_over_cannot_fail(stand: Stand) -> None:
    with pytest.raises(StaleAttempt, match=f"attempt 1 of job {JOB.id} is over"):
        stand.executor.fail(JOB, Raised("bad", ""))


def test_a_job_that_cannot_be_made_here_is_given_back_and_fails_where_nobody_can(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    failed(stand)
    stand.made = UnknownJobClass("no such class")
    why = stand.handle()
    assert why.not_made
    from datetime import UTC, datetime

    stand.store.answers["give_back_attempt"] = [
        {"id": JOB.id, "next_retry_time": datetime(2026, 7, 1, 12, 30, tzinfo=UTC)}
    ]
    assert stand.executor.give_up(JOB, why) == []
    assert stand.store.values_of("fail_attempt") == []
    assert f"job {JOB.id} is returned until 12:30:00, for a worker with other" in caplog.text
    (asked,) = stand.store.values_of("give_back_attempt")
    assert (asked["unknown"], asked["most"], asked["waits_s"][0]) == (True, 150, 1.0)
    assert asked["error"] == why.error
    caplog.clear()

    stand.store.answers["give_back_attempt"] = []
    stand.executor.give_up(JOB, why)

    (values,) = stand.store.values_of("fail_attempt")
    assert values["error"].startswith(
        "no such class\nexplained\nno running worker that serves its queue"
    )
    assert "failed; no running worker" in caplog.text
    assert "Short failed: " not in caplog.text, "it is said once"


# -- what it has said -----------------------------------------------------------------------------


def test_what_a_job_says_is_stored_with_its_end_and_of_others_what_was_kept(
    stand: Stand,
) -> None:
    failed(stand)
    log: Any = stand.executor._log
    logging.getLogger("headrace.job").addHandler(log)
    logging.getLogger("headrace.job").setLevel(logging.INFO)
    try:
        stand.job.does = lambda: logging.getLogger("headrace.job").info("hello")
        stand.handle()
    finally:
        logging.getLogger("headrace.job").removeHandler(log)

    lines = stand.executor.log_lines(JOB)
    assert lines is not None
    assert "hello" in lines.entries
    assert stand.executor.log_lines(claimed(id=JOB.id, attempt=2)) is None
    stand.executor.lines_kept[UUID(int=9)] = lines
    assert stand.executor.log_lines(claimed(id=UUID(int=9))) is lines
    stand.executor.fail(JOB, Raised("bad", ""))
    names = [name for name, _ in stand.store.asked]
    assert names[-3:] == ["hold_log", "forget_left_out", "add_log_lines"]
    assert names.index("fail_attempt") < names.index("hold_log")


# -- going on with the run ------------------------------------------------------------------------


def progress(rows: dict[str, list[Any]], finish: Callable[..., Any] | None = None) -> Any:
    store: Any = FakeDatabase(rows)
    return RunProgress(store, finish or (lambda _run: [])), store


def job_row(number: int, **more: Any) -> dict[str, Any]:
    usual = {"id": UUID(int=number), "attempt": 0, "queue": "low", "timeout_s": 60.0}
    return {**usual, "status": "queued", "run_id": None, "deps_left": 0, "dependents": 0, **more}


def test_what_a_completion_has_released_is_sent_and_what_it_left_open_is_seen_to() -> None:
    made, store = progress(
        {
            "lock_dependants": [{"id": UUID(int=3)}],
            "recount_waiting": [job_row(3)],
            "undecided_jobs": [{"id": UUID(int=4)}],
            "conditions": [{"id": UUID(int=4), "verdict": "queued", "when_expr": None}],
            "release_jobs": [job_row(4)],
            "wanted_pools": [{"pool": "p", "slots": 1}],
            "assign_slots": [job_row(5)],
        }
    )
    released: Any = [(UUID(int=2), 0, "low", 60.0)]

    plain = made.release_dependants([JOB.id], Completed(None, 1, released))
    assert [message.job_id.int for message in plain] == [2]
    assert store.asked == []
    counted = made.release_dependants([JOB.id], Completed(None, 1, released, recount=True))
    assert [message.job_id.int for message in counted] == [2, 3]
    decided = made.release_dependants(
        [JOB.id], CompletedBatch(frozenset(), released, undecided=[str(UUID(int=4))])
    )
    assert [message.job_id.int for message in decided] == [2, 4, 5]


def test_each_run_is_finished_once_and_its_end_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    asked: list[UUID] = []

    def finish(run: UUID) -> list[Any]:
        asked.append(run)
        status = "completed" if run.int == 1 else "failed"
        return [{"id": run, "pipeline": "p", "status": status, "concurrency_group": None, "parent_job": None}]  # noqa: E501 # fmt: skip

    made, store = progress({"assign_slots": [job_row(5)]}, finish)

    made.finish_runs([UUID(int=1), None, UUID(int=2), UUID(int=1)])

    assert [run.int for run in asked] == [1, 2]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", f"run {UUID(int=1)} of p completed"),
        ("WARNING", f"run {UUID(int=2)} of p failed"),
    ]
    told = made.finish_run(claimed(pool="p", pool_slots=2))
    assert told == [Message(UUID(int=5), 0, "low", 60.0)]
    assert store.values_of("assign_slots") == [{"pool": "p", "slots": 2}]
    assert made.finish_run(claimed(pool="p")) == []
