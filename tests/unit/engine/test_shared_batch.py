"""A child shares its batch with its parent, and one of the two records it."""

import json
import os
import random
import time
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from headrace.engine.workers.group_commit import polling, shared_batch
from headrace.engine.workers.group_commit.polling import SharedBatches
from headrace.engine.workers.group_commit.shared_batch import EndedJob, PendingBatch, SharedBatch
from headrace.errors import ConfigError


@pytest.fixture
def batch() -> SharedBatch:
    """The batch of one child."""
    return SharedBatches(1)[0]


def ids(count: int) -> list[UUID]:
    return [uuid4() for _ in range(count)]


def collected(batch: SharedBatch, longest_s: float = 0.0) -> PendingBatch | None:
    """Play the parent, to which each job is too long that takes longer than `longest_s`."""
    began = batch.began()
    due = began is not None and began + longest_s <= time.monotonic()
    return batch.collect(began) if due and began is not None else None


def begun(batch: SharedBatch, jobs: Sequence[UUID]) -> None:
    batch.begin([(job, n + 1) for n, job in enumerate(jobs)], 5.0)


def test_the_parent_sees_what_has_ended_and_what_has_not_begun(batch: SharedBatch) -> None:
    a, b, c, d = ids(4)
    begun(batch, [a, b, c, d])
    batch.add_result(a, 1, '{"text": "für"}', '[{"message": "größer"}]')
    batch.add_result(b, 2, None, "[{}]")

    batch.publish(c)

    pending = collected(batch)
    assert pending is not None
    assert pending.ended == [
        EndedJob(a, 1, '{"text": "für"}', '[{"message": "größer"}]'),
        EndedJob(b, 2, None, "[{}]"),
    ]
    assert pending.not_begun == [(d, 4)]
    assert pending.claimed_at == 5.0


def test_one_that_has_failed_is_neither(batch: SharedBatch) -> None:
    a, b, c = ids(3)
    begun(batch, [a, b, c])

    batch.publish(b)

    pending = collected(batch)
    assert pending is not None
    assert (pending.ended, pending.not_begun) == ([], [(c, 3)])


def test_a_batch_that_the_parent_has_collected_is_no_longer_the_childs(batch: SharedBatch) -> None:
    a, b = ids(2)
    begun(batch, [a, b])
    batch.publish(a)

    assert collected(batch) is not None
    assert not batch.withdraw()
    assert not batch.add_result(a, 1, None)
    assert batch.remaining() is None


def test_a_batch_that_the_child_has_withdrawn_is_not_collected(batch: SharedBatch) -> None:
    a, b = ids(2)
    begun(batch, [a, b])
    batch.publish(a)

    assert batch.withdraw()
    assert collected(batch) is None


def test_nothing_is_collected_before_a_job_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LONGEST_S", 60.0)
    monkeypatch.setattr(polling, "runnable_ns", lambda _pid: None)
    batches = SharedBatches(1)
    a, b = ids(2)
    begun(batches[0], [a, b])

    batches[0].publish(a)

    taken, again_in_s = batches.collect_due()
    assert taken == []
    assert again_in_s is not None
    assert 0 < again_in_s <= polling.LONGEST_S
    assert batches[0].polled


def test_a_parent_whose_children_have_no_batch_sleeps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "_POLL_FOR_S", 0.0)
    batches = SharedBatches(2)
    begun(batches[1], ids(2))

    assert batches.collect_due() == ([], None)
    assert not batches[1].polled


def test_results_that_do_not_fit_are_refused_and_the_others_kept(batch: SharedBatch) -> None:
    a, b, c, d = ids(4)
    begun(batch, [a, b, c, d])

    assert batch.add_result(a, 1, json.dumps("x" * 40_000))
    assert not batch.add_result(b, 2, json.dumps("y" * 40_000))
    assert batch.add_result(c, 3, json.dumps("z" * 20_000))

    batch.publish(d)
    pending = collected(batch)
    assert pending is not None
    assert [(one.job_id, len(one.result or "")) for one in pending.ended] == [
        (a, 40_002),
        (c, 20_002),
    ]


def test_a_new_batch_has_nothing_of_the_one_before(batch: SharedBatch) -> None:
    old, new = ids(3), ids(2)
    begun(batch, old)
    batch.add_result(old[0], 1, "1")
    begun(batch, new)

    batch.publish(new[0])

    pending = collected(batch)
    assert pending is not None
    assert (pending.ended, pending.not_begun) == ([], [(new[1], 2)])


def test_of_a_child_that_has_died_all_is_there_whatever_it_was_about_to_do(
    batch: SharedBatch,
) -> None:
    a, b, c = ids(3)
    begun(batch, [a, b, c])
    batch.add_result(a, 1, "1")
    batch.publish(b)
    batch.withdraw()
    batch.add_result(b, 2, "2")

    pending = batch.remaining()

    assert pending is not None
    assert [one[0] for one in pending.ended] == [a, b]
    batch.reset()
    assert batch.remaining() is None


def test_a_child_killed_with_the_lock_holds_up_nobody(batch: SharedBatch) -> None:
    a, b = ids(2)
    begun(batch, [a, b])
    batch.add_result(a, 1, "1")
    batch.publish(b)
    pid = os.fork()
    if pid == 0:
        batch._lock.acquire()
        os._exit(0)
    os.waitpid(pid, 0)

    assert collected(batch) is None
    pending = batch.remaining()
    assert pending is not None
    assert pending.ended == [EndedJob(a, 1, "1")]
    batch.reset()
    begun(batch, [a, b])
    batch.publish(a)
    assert batch.withdraw()


def test_either_the_child_or_the_parent_has_the_batch() -> None:
    batch = SharedBatches(1)[0]
    rounds = 3000
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        mine = [n for n in range(rounds) if _round(batch, n)]
        os.write(writer, json.dumps(mine).encode() + b"\n")
        os._exit(0)
    os.close(writer)
    os.set_blocking(reader, False)
    taken: list[int] = []
    told = b""
    while not told.endswith(b"\n"):
        pending = collected(batch, longest_s=0.0002)
        if pending is not None:
            taken += [json.loads(one.result or "") for one in pending.ended]
        try:
            told += os.read(reader, 1 << 16)
        except BlockingIOError:
            continue
    os.waitpid(pid, 0)

    assert sorted(taken + json.loads(told)) == list(range(rounds))
    assert taken
    assert len(taken) < rounds


def _round(batch: SharedBatch, number: int) -> bool:
    """Play the child: one job has ended, another one runs. Whether it has the first at the end."""
    ended, running = ids(2)
    begun(batch, [ended, running])
    batch.add_result(ended, 1, str(number))
    batch.publish(running)
    until = time.monotonic() + random.random() * 0.0004
    while time.monotonic() < until:
        pass
    return batch.withdraw()


def test_a_system_without_semaphores_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Context:
        def Lock(self) -> None:  # noqa: N802 - multiprocessing's own name
            raise OSError(38, "Function not implemented")

    monkeypatch.setattr(shared_batch, "get_context", lambda _method: Context())

    with pytest.raises(ConfigError, match=r"/dev/shm.*jobs_per_commit: 1"):
        SharedBatches(1)


@pytest.mark.parametrize(
    ("used_ms", "looks"),
    [
        pytest.param([None], 1, id="asleep"),
        pytest.param([5, 25], 2, id="computing"),
        pytest.param([5, 6, 30], 3, id="computing-on-a-busy-machine"),
    ],
)
def test_a_job_is_long_that_sleeps_or_computes_and_not_one_that_waits_for_a_processor(
    monkeypatch: pytest.MonkeyPatch, used_ms: list[int | None], looks: int
) -> None:
    monkeypatch.setattr(polling, "LONGEST_S", 0.02)
    monkeypatch.setattr(polling, "_LONGEST_WAIT_S", 60.0)
    answers = iter(used_ms)

    def used(_pid: int) -> int | None:
        answer = next(answers)
        return None if answer is None else answer * 1_000_000

    monkeypatch.setattr(polling, "runnable_ns", used)
    batches = SharedBatches(1)
    a, b = ids(2)
    begun(batches[0], [a, b])
    batches[0].publish(a)
    time.sleep(0.021)

    collected_at = [len(batches.collect_due()[0]) for _ in range(looks)]

    assert collected_at == [*[0] * (looks - 1), 1]


def test_a_job_is_long_in_the_end_although_it_has_had_no_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "LONGEST_S", 0.0)
    monkeypatch.setattr(polling, "_LONGEST_WAIT_S", 0.0)
    monkeypatch.setattr(polling, "runnable_ns", lambda _pid: 0)
    batches = SharedBatches(1)
    a, b = ids(2)
    begun(batches[0], [a, b])
    batches[0].publish(a)

    assert len(batches.collect_due()[0]) == 1


def test_a_batch_that_its_child_is_at_work_on_is_looked_at_again_in_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "LONGEST_S", 0.0)
    monkeypatch.setattr(polling, "runnable_ns", lambda _pid: None)
    batches = SharedBatches(1)
    a, b = ids(2)
    begun(batches[0], [a, b])
    batches[0].publish(a)
    monkeypatch.setattr(polling, "LONGEST_S", 0.5)
    now = time.monotonic() + 0.5
    monkeypatch.setattr("headrace.engine.workers.group_commit.polling.time.monotonic", lambda: now)

    with batches[0]._lock:
        assert batches.collect_due() == ([], 0.001)
    assert len(batches.collect_due()[0]) == 1
