"""A worker's parent records the batch of a child."""

import time
from collections.abc import Callable, Iterator, Sequence, Set
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.workers.group_commit.parent_side import ParentCompletion
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.engine.workers.group_commit.shared_batch import EndedJob, PendingBatch
from headrace.errors import StoreUnavailable
from headrace.queue.message import Message
from headrace.store.database import Database
from tests.support.rows import Rows


class Recorded:
    """The parent's side, and what it has sent and forgotten."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, application_name="headrace:tests:parent", pool_size=1)
        with self.database.transaction() as tx:
            tx.rows("number_of_transaction", number="1")
        self.sent: list[Message] = []
        self.forgotten: set[str] = set()
        self.completion = ParentCompletion(self.database, SharedBatches(1), self._send)

    def _send(self, messages: Sequence[Message], taken: Set[str] = frozenset()) -> None:
        self.sent += messages
        self.forgotten |= taken

    def record(
        self,
        ended: Sequence[tuple[UUID, str | None]] = (),
        ahead: Sequence[UUID] = (),
        claimed_at: float | None = None,
    ) -> bool:
        """Record a batch, all of it first attempts, claimed just now."""
        pending = PendingBatch(
            [EndedJob(job, 1, result) for job, result in ended],
            [(job, 1) for job in ahead],
            time.monotonic() if claimed_at is None else claimed_at,
        )
        self.completion._pending.append(pending)
        return self.completion.catch_up()


@pytest.fixture
def parent(rows: Rows) -> Iterator[Recorded]:
    made = Recorded(rows.url)
    yield made
    made.database.close()


def outcomes(rows: Rows, job: UUID) -> list[str]:
    found = rows.sql("SELECT outcome FROM headrace.job_attempt WHERE job_id = %(id)s", id=str(job))
    return [one["outcome"] for one in found]


def test_what_has_ended_is_completed_and_what_has_not_begun_requeued_in_its_order(
    rows: Rows, parent: Recorded
) -> None:
    a, b = rows.add("started"), rows.add("started")
    # That of their queue, where a job of an old id may have come last.
    ahead = [rows.add("started") for _ in range(5)][::-1]

    assert parent.record([(b, '{"n": 1}'), (a, None)], ahead)

    assert [rows.status(job) for job in (a, b)] == ["completed"] * 2
    assert (rows.row(a)["result"], rows.row(b)["result"]) == (None, {"n": 1})
    assert [rows.status(job) for job in ahead] == ["queued"] * 5
    assert [message.id for message in parent.sent] == [f"{job}_1" for job in ahead]
    assert parent.forgotten == {f"{job}_0" for job in (a, b, *ahead)}


def test_a_dependant_is_released_and_one_that_came_late_as_well(
    rows: Rows, parent: Recorded
) -> None:
    a, b = rows.add("started"), rows.add("started")
    below = rows.add("waiting", upstream=[a, b])

    assert parent.record([(a, None), (b, None)])

    assert rows.status(below) == "queued"
    assert [message.id for message in parent.sent] == [f"{below}_0"]


def test_recording_twice_changes_nothing(rows: Rows, parent: Recorded) -> None:
    a, ahead = rows.add("started"), rows.add("started")
    parent.record([(a, "1")], [ahead])
    before = (rows.row(a), rows.row(ahead))
    parent.sent.clear()

    parent.record([(a, "2")], [ahead])

    assert (rows.row(a), rows.row(ahead)) == before
    assert parent.sent == []


def test_a_reaped_attempt_is_not_completed_by_the_parent(rows: Rows, parent: Recorded) -> None:
    reaped, other = rows.add("started"), rows.add("started")
    rows.lose(reaped, 1)
    rows.store.claim(str(reaped), 1)

    assert parent.record([(reaped, '"late"'), (other, None)])

    assert (rows.status(reaped), rows.row(reaped)["result"]) == ("started", None)
    assert rows.row(reaped)["attempt"] == 2
    assert rows.status(other) == "completed"


def test_a_cancelled_job_stays_cancelled(rows: Rows, parent: Recorded) -> None:
    ended, ahead = rows.add("started"), rows.add("started")
    rows.sql(
        "UPDATE headrace.job SET status = 'cancelled', finished_at = now()"
        " WHERE id = ANY (%(ids)s)",
        ids=[ended, ahead],
    )

    assert parent.record([(ended, "1")], [ahead])

    assert [rows.status(job) for job in (ended, ahead)] == ["cancelled"] * 2
    assert parent.sent == []


def test_over_a_connection_younger_than_the_claims_all_is_requeued(
    rows: Rows, parent: Recorded
) -> None:
    ended, ahead = rows.add("started"), rows.add("started")
    claimed_at = time.monotonic()
    rows.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'headrace:tests:parent'"
    )
    rows.sql("SELECT pg_sleep(0.05)")

    assert parent.record([(ended, "1")], [ahead], claimed_at)

    assert [rows.status(job) for job in (ended, ahead)] == ["queued"] * 2
    assert [outcomes(rows, job) for job in (ended, ahead)] == [["released"]] * 2
    assert {message.id for message in parent.sent} == {f"{ended}_1", f"{ahead}_1"}


def test_a_result_that_is_refused_fails_none_of_the_others_and_not_for_ever(
    rows: Rows, parent: Recorded
) -> None:
    bad, good = rows.add("started"), rows.add("started")

    assert parent.record([(bad, '"\\u0000"'), (good, "1")])

    assert rows.status(good) == "completed"
    assert outcomes(rows, bad) == ["crashed"]
    assert "its completion was refused" in rows.row(bad)["error"]


def test_while_postgresql_is_away_what_was_taken_waits(
    rows: Rows, parent: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = rows.add("started")

    def away(*_args: object, **_options: object) -> None:
        raise StoreUnavailable("PostgreSQL does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(parent.database, "transaction", away)
        assert not parent.record([(ended, "1")])
    assert rows.status(ended) == "started"

    assert parent.completion.catch_up()
    assert rows.status(ended) == "completed"


def failing_once(*errors: Exception | None) -> Callable[..., Any]:
    """What raises these errors, one at each call, and then does what it stands for."""
    left = list(errors)

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if left and (error := left.pop(0)) is not None:
                raise error
            return original(*given, **named)

        return call

    return wrap


@pytest.mark.parametrize(
    "errors",
    [
        pytest.param([StoreUnavailable("away")], id="all together"),
        pytest.param([ValueError("refused"), StoreUnavailable("away")], id="one by one"),
    ],
)
def test_an_outage_in_the_middle_blames_no_job_and_is_waited_out(
    rows: Rows, parent: Recorded, monkeypatch: pytest.MonkeyPatch, errors: list[Exception]
) -> None:
    a, b = rows.add("started"), rows.add("started")
    completed = failing_once(*errors)(parent.completion._completed)
    monkeypatch.setattr(parent.completion, "_completed", completed)

    assert not parent.record([(a, "1"), (b, "2")])
    assert [rows.status(job) for job in (a, b)] == ["started"] * 2

    before = time.monotonic()
    assert parent.completion._not_before > before
    parent.completion.poll()
    assert rows.status(a) == "started", "PostgreSQL is asked again a second later"
    parent.completion._not_before = 0.0
    parent.completion.poll()
    assert [rows.status(job) for job in (a, b)] == ["completed"] * 2
    assert [outcomes(rows, job) for job in (a, b)] == [[], []]


def test_one_by_one_what_cannot_be_trusted_is_requeued(
    rows: Rows, parent: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = rows.add("started"), rows.add("started")
    completed = failing_once(ValueError("refused"))(parent.completion._completed)
    monkeypatch.setattr(parent.completion, "_completed", completed)

    assert parent.record([(a, "1"), (b, "2")], claimed_at=0.0)

    assert [rows.status(job) for job in (a, b)] == ["queued"] * 2
    assert [outcomes(rows, job) for job in (a, b)] == [["released"]] * 2


def test_lines_of_what_has_ended_are_kept(rows: Rows, parent: Recorded) -> None:
    silent, speaking = rows.add("started"), rows.add("started")
    line = '[{"line": 1, "at": 1.0, "level": "INFO", "message": "hello"}]'
    pending = PendingBatch(
        [EndedJob(silent, 1, None), EndedJob(speaking, 1, None, line)], [], time.monotonic()
    )
    parent.completion._pending.append(pending)

    assert parent.completion.catch_up()

    said = rows.sql("SELECT job_id::text AS id, message FROM headrace.job_log")
    assert said == [{"id": str(speaking), "message": "hello"}]
