"""How many jobs share a commit."""

from headrace.engine.attempts.outcome import Handled
from headrace.engine.workers.group_commit.batch import Batch
from tests.support.claimed import claimed


def batch_of(took_s: float, dependents: int = 0, most: int = 16) -> Batch:
    """A batch whose class has run often, and that was full when it last took more."""
    batch = Batch(most)
    for _ in range(100):
        batch.learn("Short", took_s, plain=True)
    batch.taken(most, left=0)
    batch.ended.append((claimed(dependents=dependents), Handled(None, plain=True)))
    return batch


def test_jobs_without_dependants_are_as_many_as_is_set() -> None:
    assert batch_of(0.0001).room == 16


def test_quick_jobs_with_dependants_are_twice_as_many() -> None:
    batch = batch_of(0.0001, dependents=1)

    assert batch.room == 32
    batch.ended.clear()
    batch.ended.append((claimed(), Handled(None, plain=True)))
    assert batch.room == 16


def test_together_they_take_no_longer_for_that() -> None:
    assert batch_of(0.0019, dependents=1).room == 16
    assert batch_of(0.0014, dependents=1).room == 21


def test_fewer_are_taken_where_jobs_that_may_take_long_stand_between() -> None:
    batch = batch_of(0.0001, dependents=1)

    batch.taken(16, left=13)
    assert batch.room == 3
    batch.taken(3, left=0)
    assert batch.room == 6


def test_a_class_is_short_once_its_last_runs_all_were() -> None:
    batch = Batch(16)
    for _ in range(9):
        batch.learn("Short", 0.0001, plain=True)
    assert not batch.is_short("Short")

    batch.learn("Short", 0.0001, plain=True)
    assert batch.is_short("Short")
    batch.learn("Short", 0.0001, plain=False)
    assert not batch.is_short("Short")
    assert not Batch(1).is_short("Short")


def learned(batch: Batch, *runs: float, job_class: str = "Insert") -> None:
    for ran_s in runs:
        batch.learn_brief(job_class, ran_s, ran_s + 0.05, alone=True)


def test_a_slow_disk_keeps_no_class_from_being_brief() -> None:
    batch = Batch(16)
    learned(batch, *[0.001] * 10)
    assert batch.is_brief("Insert")
    # Fewer at once: what is claimed waits for the commits of those before it.
    assert batch.room_ahead < 3


def test_after_others_stood_between_them_brief_ones_are_taken_together_again() -> None:
    batch = Batch(16)
    for _ in range(20):
        batch.learn_brief("Insert", 0.001, 0.001, alone=True)
    batch.taken(16, left=15)
    assert batch.room_ahead == 1

    for _ in range(5):
        batch.learn_brief("Insert", 0.001, 0.001, alone=True)

    assert batch.room_ahead == 6


def test_one_run_that_waited_for_a_core_does_not_begin_the_count_anew() -> None:
    batch = Batch(16)
    learned(batch, *[0.001] * 20, 0.02)
    assert batch.is_brief("Insert")
    learned(batch, 0.02, 0.02)
    assert not batch.is_brief("Insert")


def test_a_class_that_has_run_long_once_has_to_prove_itself_anew() -> None:
    batch = Batch(16)
    learned(batch, *[0.001] * 20, 1.0)
    assert not batch.is_brief("Insert")
    learned(batch, *[0.001] * 3)
    assert not batch.is_brief("Insert")
    learned(batch, 0.001)
    assert batch.is_brief("Insert")


def test_jobs_that_have_shared_a_transaction_count_each() -> None:
    batch = Batch(16)
    batch.learn_brief("Insert", 0.001, 0.001, alone=True, jobs=3)
    assert not batch.is_brief("Insert")
    batch.learn_brief("Insert", 0.001, 0.001, alone=True, jobs=1)
    assert batch.is_brief("Insert")


def test_the_mean_of_the_first_ones_is_theirs_alone() -> None:
    batch = Batch(16)
    batch.learn_brief("Insert", 0.001, 0.006, alone=True)
    assert batch.room_ahead == 5  # of 30 ms together

    batch.learn_brief("Insert", 0.001, 0.002, alone=True)

    assert batch.room_ahead == 7  # of 4 ms each


def test_later_the_mean_follows_the_last_ones_by_their_number() -> None:
    alone, together = Batch(16), Batch(16)
    for batch in alone, together:
        batch.learn_brief("Insert", 0.001, 0.03, alone=True, jobs=16)
        assert batch.room_ahead == 1
    alone.learn_brief("Insert", 0.001, 0.001, alone=True)
    together.learn_brief("Insert", 0.001, 0.001, alone=True, jobs=12)

    assert alone.room_ahead == 1
    assert together.room_ahead == 3  # a fourth of 30 ms and three fourths of 1 ms
