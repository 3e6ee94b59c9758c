"""What a worker's parent records of attempts that others have ended, and what it sends."""

import logging
import signal
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.workers.interrupted_attempts import end_attempt
from headrace.engine.workers.rq_callbacks import WorkerSide
from headrace.errors import QueueUnavailable, SchemaMismatch, StoreUnavailable
from headrace.queue.keys import Keys
from headrace.queue.message import Message
from headrace.queue.shared_memory import RUNNING, TAKEN, ChildView
from headrace.queue.worker_callbacks import Ended
from tests.support.fake_database import FakeDatabase

JOB, HELD = UUID(int=1), UUID(int=2)


def row(job: UUID = JOB, **more: Any) -> dict[str, Any]:
    return {
        "id": job, "attempt": 2, "queue": "low", "timeout_s": 60.0, "run_id": None,
        "dependents": 0, "allow_failure": False, "status": "queued", "child_run": None, **more,
    }  # fmt: skip


def ended(outcome: str, *, claimed: bool = True, held: Sequence[tuple[UUID, int]] = ()) -> Ended:
    return Ended(str(JOB), 2, outcome, "why", "stack", claimed, tuple(held))


def end(database: FakeDatabase, what: Ended) -> list[Message]:
    made: Any = database
    return end_attempt(made, what)


def test_a_crash_is_recorded_and_its_job_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    database = FakeDatabase(
        {"lose_attempts": [row()], "run_of_job": [{"run_id": None, "pipeline": "p", "step": "s"}]}
    )

    assert end(database, ended("crashed")) == [Message(JOB, 2, "low", 60.0)]

    (values,) = database.values_of("lose_attempts")
    assert (values["outcome"], values["error"], values["crash_budget"]) == ("crashed", "why", 3)
    assert f"job {JOB} attempt 2 crashed: why" in caplog.text
    (record,) = caplog.records
    assert vars(record)["subject"]["step"] == "s"
    assert database.values_of("finish_run") == []


def test_the_run_is_looked_at_after_the_end_of_one_of_its_jobs() -> None:
    run = {"run_id": UUID(int=9), "pipeline": "p", "step": "s"}
    database = FakeDatabase({"run_of_job": [run]})

    end(database, ended("crashed"))

    assert database.values_of("finish_run") == [{"ids": [UUID(int=9)]}]


def test_a_cancelled_job_is_not_queued_and_what_is_below_it_is_decided() -> None:
    database = FakeDatabase({"cancel_jobs": [row(status="cancelled", dependents=1)]})

    assert end(database, ended("cancelled")) == []

    assert database.values_of("cancel_jobs") == [
        {"ids": [str(JOB)], "run_id": None, "keep_finally": False}
    ]
    assert database.values_of("update_dependants") == [{"upstream": [JOB]}]
    assert database.values_of("lose_attempts") == []


def test_a_timeout_is_the_jobs_own_failure_with_its_stack() -> None:
    policy = {"limit": 2, "delay_s": 5.0, "jitter": False}
    job = row(retry=policy, retry_count=0, timeout_s=1.5)
    database = FakeDatabase({"job": [job], "fail_attempt": [row(status="failed", dependents=1)]})

    end(database, ended("timed_out"))

    (values,) = database.values_of("fail_attempt")
    assert values == {
        "id": str(JOB),
        "attempt": 2,
        "outcome": "timed_out",
        "error": "timed out: the job ran longer than 1.5 s and was stopped",
        "traceback": "stack",
        "retry_in": 5.0,
    }
    assert database.values_of("update_dependants") == [{"upstream": [JOB]}]
    database.answers["fail_attempt"] = []
    assert end(database, ended("timed_out")) == [], "somebody else has ended it"
    assert end(FakeDatabase(), ended("timed_out")) == [], "the job is gone"


@pytest.mark.parametrize(("timeout_s", "told"), [(2592000.0, "2592000"), (0.1, "0.1")])
def test_a_timeout_of_weeks_has_all_its_digits(timeout_s: float, told: str) -> None:
    policy = {"limit": 0, "delay_s": 5.0, "jitter": False}
    database = FakeDatabase({"job": [row(retry=policy, retry_count=0, timeout_s=timeout_s)]})

    end(database, ended("timed_out"))

    (values,) = database.values_of("fail_attempt")
    assert values["error"] == f"timed out: the job ran longer than {told} s and was stopped"


def test_nothing_is_recorded_of_what_was_taken_away() -> None:
    database = FakeDatabase({"lose_attempts": [row(HELD)]})

    told = end(database, ended("taken_away", held=[(HELD, 1), (JOB, 1)]))

    assert told == [Message(HELD, 2, "low", 60.0)]
    (values,) = database.values_of("lose_attempts")
    assert (values["outcome"], str(HELD) in values["attempts"]) == ("released", True)
    assert values["error"] == "the worker process that had claimed it has ended"
    assert end(database, ended("taken_away", held=[(JOB, 1)])) == []


@pytest.mark.parametrize(
    ("lost", "job", "sent"),
    [
        # The claim had happened.
        ([row(attempt=3)], None, 3),
        # It had not: the message is sent again, unless somebody else has it by now.
        ([], row(), 2),
        ([], row(attempt=3), None),
        ([], row(status="started"), None),
        ([], None, None),
    ],
)
def test_of_a_message_in_a_dead_hand_the_claim_may_have_happened_or_not(
    lost: list[Any], job: Any, sent: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    database = FakeDatabase({"lose_attempts": lost, "job": [job] if job else []})

    told = end(database, ended("crashed", claimed=False))

    assert [message.attempt for message in told] == ([] if sent is None else [sent])
    (values,) = database.values_of("lose_attempts")
    assert '"attempt": 3' in values["attempts"]
    assert f"job {JOB} before attempt 3 crashed: why" in caplog.text


# -- a worker's parent ----------------------------------------------------------------------------


class FakeSender:
    """Takes messages while Redis answers."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.away = False

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any) -> None:
            if self.away:
                raise QueueUnavailable("away", "silent")
            self.said.append((name, *given))

        return call


class Side:
    """A worker's parent among fakes."""

    def __init__(self) -> None:
        settings: Any = SimpleNamespace()
        registry: Any = SimpleNamespace(loaded="digest")
        self.side = WorkerSide(
            settings, "postgresql://nowhere/x", "redis://127.0.0.1:1/0", registry, "me", ["low"], 2,
            keys=Keys("headrace-x123"),
        )  # fmt: skip
        self.database = FakeDatabase({"heartbeat_worker": [{"name": "me"}]})
        self.sender, self.watched = FakeSender(), FakeSender()
        self.closed: list[str] = []
        self.outdated: SchemaMismatch | None = None
        inner: Any = self.side
        self.database.close = lambda: self.closed.append("database")  # type: ignore[attr-defined]
        inner._database = inner._keeper._database = inner._completion._database = self.database
        inner._sender, inner._watched = self.sender, self.watched
        inner._schema = SimpleNamespace(look=self._look)

    def _look(self, _tx: object) -> None:
        if self.outdated is not None:
            raise self.outdated

    def started(self, *attempts: tuple[UUID, int]) -> None:
        self.database.answers["attempts_of_worker"] = [
            {"id": job, "attempt": number} for job, number in attempts
        ]


@pytest.fixture
def made() -> Side:
    return Side()


def test_a_worker_says_who_it_is_once_and_again_where_its_row_was_removed(made: Side) -> None:
    assert made.side.register()
    (told,) = made.database.values_of("register_worker")
    assert (told["name"], told["queues"], told["processes"], told["job_files"]) == (
        "me", ["low"], 2, "digest",
    )  # fmt: skip
    assert told["birth_ticks"] > 0
    made.side.heartbeat("running", [])
    assert len(made.database.values_of("register_worker")) == 1
    made.database.answers["heartbeat_worker"] = []
    made.side.heartbeat("running", [])
    assert len(made.database.values_of("register_worker")) == 2


def test_an_outage_is_said_once_and_its_end_too(
    made: Side, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made.database.away = StoreUnavailable("PostgreSQL does not answer")
    made.database.answers["register_worker"] = StoreUnavailable("PostgreSQL does not answer")

    assert not made.side.register()
    assert not made.side.register()
    assert made.side.heartbeat("running", [(str(JOB), 1)]) == {}
    assert caplog.text.count("PostgreSQL does not answer; waiting for it") == 1
    made.database.away = None
    made.side.heartbeat("running", [])
    made.side.heartbeat("running", [])
    assert caplog.text.count("PostgreSQL answers again") == 1
    made.database.away = StoreUnavailable("PostgreSQL does not answer")
    made.side.heartbeat("running", [])
    assert caplog.text.count("PostgreSQL does not answer; waiting for it") == 2


def test_a_worker_that_the_schema_does_not_admit_any_more_drains(
    made: Side, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "headrace.engine.workers.rq_callbacks.os.kill",
        lambda pid, number: killed.append((pid, number)),
    )
    made.outdated = SchemaMismatch("version 1 is needed")

    assert made.side.heartbeat("running", []) == {}

    assert made.side.outdated is made.outdated
    assert [number for _, number in killed] == [signal.SIGTERM]
    assert "version 1 is needed; this worker ends" in caplog.text


def test_a_heartbeat_tells_what_was_lost(made: Side) -> None:
    made.database.answers["lost_attempts"] = [{"id": JOB, "attempt": 1, "cancelled": True}]

    assert made.side.heartbeat("running", [(str(JOB), 1)]) == {(str(JOB), 1): True}
    assert made.side.heartbeat("running", []) == {}, "nothing runs, nothing is lost"


def test_an_attempt_that_no_child_runs_is_ended_at_the_second_look(made: Side) -> None:
    made.started((JOB, 1), (HELD, 1))
    made.database.answers["lose_attempts"] = [row()]
    made.side.heartbeat("running", [(str(HELD), 1)])
    assert made.database.values_of("lose_attempts") == []
    made.side.heartbeat("running", [(str(HELD), 1)])
    (values,) = made.database.values_of("lose_attempts")
    assert (values["outcome"], str(HELD) in values["attempts"]) == ("released", False)
    assert ("send", [Message(JOB, 2, "low", 60.0)]) in made.sender.said
    # It is not ended twice, and one that was seen in between begins anew.
    made.side.heartbeat("running", [(str(HELD), 1)])
    assert len(made.database.values_of("lose_attempts")) == 1
    made.started()
    made.side.heartbeat("running", [])
    made.started((JOB, 1))
    made.side.heartbeat("running", [])
    assert len(made.database.values_of("lose_attempts")) == 1


def test_progress_is_shown_of_attempts_that_run(made: Side) -> None:
    made.side._progress.write(0, (JOB, 1), 5, None, None, "rows")
    made.side._progress.write(1, (HELD, 1), 6, None, None, "rows")

    made.side.heartbeat("running", [(str(JOB), 1), (str(HELD), 2)])
    ((_, shown),) = made.watched.said
    assert {job: one["rows"] for job, one in shown.items()} == {str(JOB): 5}
    made.side.heartbeat("running", [])
    assert len(made.watched.said) == 1
    made.watched.away = True
    made.side.heartbeat("running", [(str(JOB), 1)])  # Nobody misses what an outage keeps away.


def test_what_has_ended_is_sent_again_and_old_messages_are_forgotten(made: Side) -> None:
    made.database.answers["lose_attempts"] = [row()]

    assert made.side.ended([ended("crashed")])

    assert made.sender.said == [
        ("forget", [f"{JOB}_1"]),
        ("send", [Message(JOB, 2, "low", 60.0)]),
    ]
    made.sender.away = True
    assert made.side.ended([ended("crashed")]), "what Redis does not take the sweep sends"


def test_what_could_not_be_recorded_is_asked_for_again(made: Side) -> None:
    calls: list[int] = []

    def lose(**_values: Any) -> list[Any]:
        calls.append(1)
        if len(calls) == 2:
            raise StoreUnavailable("away")
        return [row()]

    made.database.answers["lose_attempts"] = lose

    assert not made.side.ended([ended("crashed"), ended("released")])
    assert ("send", [Message(JOB, 2, "low", 60.0)]) in made.sender.said, "that of the first"
    made.side._completion.catch_up = lambda: False  # type: ignore[method-assign]
    assert not made.side.ended([ended("crashed")])


def test_a_message_that_is_sent_again_is_not_forgotten(made: Side) -> None:
    made.database.answers |= {"lose_attempts": [], "job": [row()]}

    made.side.ended([ended("crashed", claimed=False)])

    assert made.sender.said == [("send", [Message(JOB, 2, "low", 60.0)])]


def test_a_killed_childs_session_ends_by_its_number_and_name(made: Side) -> None:
    made.side.end_backend(5)

    assert made.database.values_of("terminate_backend") == [
        {"pid": 5, "application_name": "headrace:me"}
    ]
    made.database.answers["terminate_backend"] = StoreUnavailable("away")
    made.side.end_backend(5)


@pytest.mark.parametrize(("state", "attempt"), [(RUNNING, 2), (TAKEN, 0)])
def test_what_a_child_leaves_is_that_of_the_attempt_that_it_ran(
    made: Side, monkeypatch: pytest.MonkeyPatch, state: int, attempt: int
) -> None:
    told: list[tuple[int, UUID, int]] = []
    monkeypatch.setattr(made.side._keeper, "ended", lambda *given: told.append(given))

    made.side.child_ended(ChildView(state, JOB, 2, 0.0, 0, 0), 1)

    assert told == [(1, JOB, attempt)]


def test_at_its_end_a_worker_says_so_and_closes_its_lines(made: Side) -> None:
    made.side.stopped()

    assert made.database.values_of("heartbeat_worker") == [{"name": "me", "status": "stopped"}]
    assert made.closed == ["database"]
    assert made.sender.said == [("close",)]
    assert made.watched.said == [("close",)]
    away = Side()
    away.database.answers["heartbeat_worker"] = StoreUnavailable("away")
    away.side.stopped()
    assert away.closed == ["database"]
