"""How long a worker's child lives."""

import logging
import signal
from types import SimpleNamespace

import pytest

from headrace.engine.workers.child_lifetime import Life, Stop
from headrace.errors import JobStopped


def test_a_child_that_has_grown_too_large_takes_nothing_more() -> None:
    assert Life(max_memory_bytes=1).room(16, at_work=0) == 0


def test_a_child_takes_no_more_than_the_jobs_it_may_still_do() -> None:
    life = Life(max_jobs=10)
    life.jobs = 7

    assert life.room(16, at_work=1) == 2


def test_a_child_without_limits_takes_as_many_as_it_is_asked_to() -> None:
    assert Life().room(16, at_work=1) == 16


def test_a_child_ends_after_its_jobs_when_it_is_told_and_when_it_has_grown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orders = SimpleNamespace(draining=False, told_to_end=False)
    life = Life(orders, max_jobs=2)
    ended = []
    for life.jobs in range(3):
        ended.append(life.ended)
    assert ended == [False, False, True]
    assert not Life(orders).ended
    for order in ("draining", "told_to_end"):
        told = Life(SimpleNamespace(**{**vars(orders), order: True}))
        assert told.ended
        assert told.stopping
    left = Life(orders)
    left.leave("a thread")
    assert left.ended
    kilobytes = SimpleNamespace(ru_maxrss=100)
    monkeypatch.setattr(
        "headrace.engine.workers.child_lifetime.resource.getrusage", lambda _who: kilobytes
    )
    assert not Life(orders, max_memory_bytes=100 << 10).ended
    assert Life(orders, max_memory_bytes=(100 << 10) - 1).ended


def test_a_child_that_is_asked_to_stop_begins_no_wait(caplog: pytest.LogCaptureFixture) -> None:
    life = Life()
    with caplog.at_level(logging.DEBUG, "headrace.worker"):
        life.leave("a thread")
        life.leave("an open file")
    assert "replacing this process: a thread" in caplog.text
    assert "an open file" not in caplog.text
    with pytest.raises(Stop):
        life.sleep(3600.0)


def _signalled(life: Life) -> None:
    life._on_stop(signal.SIGTERM, None)


def _told(life: Life, orders: SimpleNamespace) -> None:
    orders.told_to_end = True
    _signalled(life)


def test_a_signal_stops_a_job_in_the_middle_only_where_its_end_is_wanted() -> None:
    orders = SimpleNamespace(draining=False, told_to_end=False)
    life = Life(orders)
    with life.at_work():
        _signalled(life)
    assert life.stopping, "it ends after the job"

    life = Life(orders)
    with pytest.raises(JobStopped, match="timed out, or it is no longer wanted"), life.at_work():
        _told(life, orders)
    _signalled(life)  # It is tidying up.
    with pytest.raises(JobStopped, match="before it began"), life.at_work():
        pytest.fail("it must not begin")

    orders.told_to_end = False
    with pytest.raises(JobStopped, match=r"was stopped$"), Life(orders).at_work():
        # The job has caught what the signal raised.
        orders.told_to_end = True


def test_a_signal_ends_a_wait_and_nothing_where_the_child_neither_works_nor_waits() -> None:
    orders = SimpleNamespace(draining=False, told_to_end=False)
    idle, waiting = Life(orders), Life(orders)
    _signalled(idle)
    with pytest.raises(Stop), waiting.waiting():
        _signalled(waiting)
    with waiting.at_work():
        _signalled(waiting)
    assert idle.stopping
