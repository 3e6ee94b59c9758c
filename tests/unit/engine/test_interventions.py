"""What cancelling, retrying and resuming releases is sent at once, and not by a later sweep."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.operations.interventions import Interventions
from headrace.errors import IllegalTransition, NotFound
from headrace.queue.message import Message
from tests.support.fake_database import FakeDatabase

RUN, JOB, OTHER, CHILD = (UUID(int=number) for number in (1, 2, 3, 4))


def message(job: UUID) -> Message:
    return Message(job, 1, "low", 60.0)


def row(job: UUID, status: str = "queued", **more: Any) -> dict[str, Any]:
    return {
        "id": job, "attempt": 1, "queue": "low", "timeout_s": 60.0, "run_id": RUN,
        "dependents": 0, "deps_left": 0, "child_run": None, "status": status, **more,
    }  # fmt: skip


def ended(run: UUID, status: str, parent: UUID | None = None) -> dict[str, Any]:
    return {"id": run, "status": status, "parent_job": parent, "concurrency_group": None}


class Stand:
    """The interventions among fakes; `sent` is what was sent, call by call."""

    def __init__(self) -> None:
        self.sent: list[list[Message]] = []
        self.database = FakeDatabase({"job": [row(JOB, "failed")], "run": [ended(RUN, "failed")]})
        database: Any = self.database
        dispatcher: Any = self
        self.does = Interventions(database, dispatcher)

    def send_soon(self, messages: Sequence[Message]) -> None:
        self.sent.append(list(messages))

    @property
    def finished(self) -> list[Any]:
        """The runs of which it was asked whether anything is left."""
        return [values["ids"] for values in self.database.values_of("finish_run")]


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.fixture
def reopened(stand: Stand) -> Stand:
    """A failed job that is queued by its retry, in a run whose end has a parent waiting."""
    stand.database.answers |= {
        "failed_jobs_of_run": [row(JOB, "failed")],
        "failed_jobs": [row(JOB, "failed")],
        "lock_totals": [{"until": datetime(2026, 5, 4, tzinfo=UTC), "ahead": False, "number": 1}],
        "skipped_below": [{"id": OTHER}],
        "reopen_jobs": [row(JOB), row(OTHER)],
        "recount_waiting": [row(JOB), row(OTHER, "waiting", deps_left=1)],
        "finish_run": [ended(RUN, "completed", CHILD)],
        "wake_parents": [row(CHILD)],
    }
    return stand


def test_a_retried_job_and_what_its_run_releases_are_sent(reopened: Stand) -> None:
    assert reopened.does.retry_job(str(JOB)) == row(JOB, "failed")

    assert reopened.sent == [[message(JOB), message(CHILD)]]
    assert reopened.finished == [[RUN]]
    assert reopened.database.values_of("reopen_jobs") == [{"ids": [JOB, OTHER]}]


def test_a_retried_run_is_sent(reopened: Stand) -> None:
    assert reopened.does.retry_run(str(RUN)) == ended(RUN, "failed")

    assert reopened.sent == [[message(JOB), message(CHILD)]]
    assert reopened.finished == [[RUN]]


def test_all_that_has_failed_is_sent_and_named(reopened: Stand) -> None:
    assert reopened.does.retry_all_failed() == ([str(JOB)], [])

    assert reopened.sent == [[message(JOB), message(CHILD)]]
    assert reopened.finished == [[RUN]]


def test_where_nothing_has_failed_nothing_is_reopened(stand: Stand) -> None:
    assert stand.does.retry_all_failed() == ([], [])
    assert stand.database.values_of("reopen_jobs") == []
    assert stand.sent == [[]]


def test_what_a_cancelled_job_lets_go_on_is_sent(stand: Stand) -> None:
    below = ended(CHILD, "cancelled", OTHER)
    stand.database.answers |= {
        "cancel_jobs": lambda run_id, **_more: (
            [row(JOB, "cancelled", child_run=CHILD)] if run_id is None else []
        ),
        "update_dependants": lambda upstream, **_more: (
            [row(OTHER)] if upstream == [JOB] else []
        ),
        "cancel_run": [below],
        "wake_parents": [row(OTHER, queue="high")],
    }  # fmt: skip

    assert stand.does.cancel_job(str(JOB)) == row(JOB, "failed")

    high = Message(OTHER, 1, "high", 60.0)
    assert stand.sent == [[message(OTHER), high]]
    assert stand.finished == [[RUN]]
    (asked,) = stand.database.values_of("cancel_run")
    assert asked == {"id": CHILD, "error": "the step that ran it was cancelled"}
    first, *_ = stand.database.values_of("cancel_jobs")
    assert first == {"ids": [JOB], "run_id": None, "keep_finally": False}


def test_a_job_without_a_run_ends_none(stand: Stand) -> None:
    stand.database.answers |= {
        "job": [row(JOB, "queued", run_id=None)],
        "cancel_jobs": [row(JOB, "cancelled", run_id=None)],
    }

    stand.does.cancel_job(str(JOB))

    assert (stand.finished, stand.sent) == ([], [[]])


@pytest.mark.parametrize(("status", "keeps"), [("running", True), ("cancelled", False)])
def test_a_cancelled_run_wakes_its_parent_and_keeps_its_last_handlers(
    stand: Stand, status: str, keeps: bool
) -> None:
    stand.database.answers |= {
        "cancel_run": [ended(RUN, status, OTHER)],
        "lock_run": [{"id": RUN}],
        "open_handlers": [row(CHILD)],
        "wake_parents": [row(OTHER)],
    }

    assert stand.does.cancel_run(str(RUN)) == ended(RUN, status, OTHER)

    assert stand.sent == [[message(CHILD if keeps else OTHER)]]
    asked = {"ids": [], "run_id": RUN, "keep_finally": keeps}
    assert stand.database.values_of("cancel_jobs") == [asked]


def test_what_is_resumed_is_sent(stand: Stand) -> None:
    stand.database.answers |= {
        "groups_with_queued_runs": [{"name": "b"}, {"name": "a"}],
        "release_runs": lambda groups, **_more: [{"id": RUN}] if groups == ["a"] else [],
        "release_roots": [row(JOB)],
    }

    stand.does.resume("p")

    assert stand.database.values_of("resume_schedule") == [{"pipeline": "p"}]
    assert stand.sent == [[message(JOB)]]


def test_a_pause_tells_how_many_runs_wait_and_which_it_has_cancelled(stand: Stand) -> None:
    over: list[UUID] = []

    def cancel(**asked: Any) -> list[Any]:
        return [] if asked["id"] in over else [ended(asked["id"], "cancelled")]

    stand.database.answers |= {
        "queued_runs_of": [{"id": RUN}, {"id": OTHER}],
        "run": lambda **asked: [ended(asked["id"], "queued")],
        "cancel_run": cancel,
    }

    assert stand.does.pause("p") == (2, [])
    assert stand.sent == []
    assert stand.does.pause("p", cancel_queued=True) == (2, [RUN, OTHER])
    over.append(RUN)  # It has been started, and has ended meanwhile.
    assert stand.does.pause("p", cancel_queued=True) == (2, [OTHER])
    assert stand.database.values_of("pause_schedule") == [{"pipeline": "p"}] * 3


@pytest.mark.parametrize(
    ("does", "known", "told"),
    [
        ("cancel_job", True, "is failed; only a job that has not ended can be cancelled"),
        ("retry_job", True, "is queued; only a failed or cancelled job can be retried"),
        ("cancel_run", True, "is failed; it has ended already"),
        ("retry_run", True, "is failed; it has no failed or cancelled step"),
        *((name, False, "") for name in ("cancel_job", "retry_job", "cancel_run", "retry_run")),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_status_that_it_has(
    stand: Stand, does: str, known: bool, told: str
) -> None:
    noun = does.partition("_")[2]
    if does == "retry_job":
        stand.database.answers["job"] = [row(JOB, "queued")]
    if not known:
        stand.database.answers.clear()

    for name in (str(JOB), "no-uuid"):
        with pytest.raises((IllegalTransition, NotFound)) as refused:
            getattr(stand.does, does)(name)
        if known and name != "no-uuid":
            assert str(refused.value) == f"{noun} {name} {told}"
        else:
            assert str(refused.value) == f"there is no {noun} {name}"
    assert stand.sent == []
