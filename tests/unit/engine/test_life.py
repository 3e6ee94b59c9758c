"""How long a worker's child lives."""

from headrace.engine.workers.child_lifetime import Life


def test_a_child_that_has_grown_too_large_takes_nothing_more() -> None:
    assert Life(max_memory_bytes=1).room(16, at_work=0) == 0


def test_a_child_takes_no_more_than_the_jobs_it_may_still_do() -> None:
    life = Life(max_jobs=10)
    life.jobs = 7

    assert life.room(16, at_work=1) == 2


def test_a_child_without_limits_takes_as_many_as_it_is_asked_to() -> None:
    assert Life().room(16, at_work=1) == 16
