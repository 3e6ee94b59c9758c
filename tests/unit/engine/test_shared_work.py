"""Jobs of one child that share a transaction: which do, and how it ends whatever goes wrong."""

import logging
from typing import Any
from uuid import UUID

import pytest

from headrace import hooks
from headrace.engine.attempts.outcome import Handled, Raised
from headrace.engine.workers.group_commit import shared_work
from headrace.errors import JobStopped, StoreUnavailable
from headrace.store.attempts import CompletedBatch
from headrace.store.log_lines import LogLines
from tests.support.sharing_stand import DONE, SQL, Stand, one


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


def test_jobs_that_only_append_are_completed_at_once(stand: Stand) -> None:
    assert stand.done()

    assert stand.said == [
        ("published", 1), "tidied", "withdrawn", "prepended", ("asked", 3),
        ("completed", [1, 2, 3]), ("committed", None), ("counted", 2), ("recorded", [1, 2, 3]),
    ]  # fmt: skip
    assert not stand.batch.ahead
    assert stand.sessions.sharing is None


# -- which of them share --------------------------------------------------------------------------


def test_one_that_runs_its_own_way_ends_those_that_share(stand: Stand) -> None:
    assert stand.done(one(2), one(3, pool="p"), one(4))

    assert stand.asked("recorded") == [("recorded", [1, 2])]
    assert [job.id.int for job in stand.batch.ahead] == [3, 4]


def test_with_a_project_s_hooks_each_has_its_own_transaction(stand: Stand) -> None:
    def told(_info: hooks.AttemptInfo) -> None:
        """A project's."""

    hooks.on_failure(told)
    try:
        assert not stand.done()
    finally:
        hooks.forget([told])

    assert stand.ran == []
    assert stand.done()


def test_on_a_database_that_is_no_postgresql_each_has_its_own(stand: Stand) -> None:
    payload = {"sql": SQL, "connection": "shop"}
    stand.batch.ahead.append(one(2, payload=payload))

    assert not stand.work.done(one(1, payload=payload))

    assert stand.said == []


@pytest.mark.parametrize("slowest", [1, 2])
def test_what_takes_long_together_is_committed_before_the_rest(stand: Stand, slowest: int) -> None:
    def slow() -> Handled:
        stand.now += stand.batch.together_s + 0.001
        return DONE

    stand.outcomes[slowest] = slow

    assert stand.done()

    committed = [1, 2][:slowest]
    assert stand.ran == committed
    assert stand.asked("recorded") == [("recorded", committed)]
    assert [job.id.int for job in stand.batch.ahead] == [2, 3][slowest - 1 :]


# -- what goes wrong ------------------------------------------------------------------------------


def one_by_one(stand: Stand, caplog: pytest.LogCaptureFixture) -> str:
    """Have nothing done; returns why."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    assert not stand.done()
    assert stand.said[-2:] == ["rolled back", "withdrawn"]
    assert stand.asked("recorded") == []
    assert stand.sessions.sharing is None
    assert stand.lines_kept == {}
    (why,) = caplog.messages
    return why.partition(": ")[2]


def test_one_that_fails_has_all_of_them_run_one_by_one_for_a_while(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.outcomes[2] = Raised("bad", "")

    for apart in (16, 32):
        told = one_by_one(stand, caplog)
        assert told == "one of them does not only append rows, or has failed"
        for _ in range(apart):
            assert not stand.done()
            assert stand.ran == []
    stand.outcomes.clear()
    assert stand.done()
    stand.said.clear()
    stand.outcomes[2] = Raised("bad", "")
    one_by_one(stand, caplog)
    assert stand.work._left_apart == 16, "what went well between them counts"


def test_one_that_says_too_much_is_run_by_itself(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.kept[UUID(int=1)] = LogLines("[]", None)
    stand.kept[UUID(int=2)] = LogLines("[]", (1, 5))

    assert one_by_one(stand, caplog) == "one of them says too much"


def test_what_they_say_is_kept_for_their_completion(stand: Stand) -> None:
    stand.kept[UUID(int=2)] = LogLines("[]", None)

    stand.lines_kept[UUID(int=7)] = LogLines('["of an earlier group"]', None)
    assert stand.done()

    assert stand.lines_kept == {UUID(int=2): LogLines("[]", None)}


def test_what_is_known_to_do_more_than_to_append_is_not_tried_again_until_it_is_forgotten(
    stand: Stand, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_work, "_MOST_KNOWN", 3)
    monkeypatch.setattr(shared_work, "_APART", 0)
    stand.work._apart = 0
    stand.appends = False

    def known(sql: str) -> bool:
        stand.batch.ahead.clear()
        stand.batch.ahead.append(one(2, payload={"sql": sql}))
        stand.ran.clear()
        assert not stand.work.done(one(1, payload={"sql": sql}))
        return not stand.ran

    assert [known("a"), known("a"), known("b"), known("a")] == [False, True, False, True]
    assert not known("c")
    assert not known("a"), "more of them than are kept have all of them forgotten"
    assert one_by_one(stand, caplog) == "a table does more than to take rows"


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ValueError("server closed")])
def test_a_line_that_breaks_is_told_and_nothing_is_run_again(
    stand: Stand, error: Exception
) -> None:
    stand.outcomes[2], stand.at_fault = error, isinstance(error, ValueError)

    with pytest.raises(StoreUnavailable, match=str(error)):
        stand.done()

    assert stand.sessions.sharing is None
    assert "rolled back" not in stand.said
    assert ("withdrawn" in stand.said) == isinstance(error, StoreUnavailable)


def test_over_another_line_than_they_were_claimed_by_nothing_is_completed(stand: Stand) -> None:
    def reconnected() -> Handled:
        stand.line = 2
        return DONE

    stand.outcomes[2] = reconnected

    with pytest.raises(StoreUnavailable, match="the connection to the control database was lost"):
        stand.done()

    assert stand.asked("completed") == []


def test_a_child_that_is_to_end_completes_none_and_gives_none_back(stand: Stand) -> None:
    stand.outcomes[2] = JobStopped("stopped")

    with pytest.raises(JobStopped):
        stand.done()

    assert stand.said == [("published", 1), "tidied"], "its parent collects the others"
    assert stand.sessions.sharing is None


# -- on a target ----------------------------------------------------------------------------------


def test_on_a_target_they_are_committed_there_before_they_are_completed(stand: Stand) -> None:
    stand.elsewhere = True

    assert stand.done()

    assert stand.said[-4:] == [
        ("targets", [(1, 1), (2, 1), (3, 1)]), ("completed", [1, 2, 3]), ("counted", 2),
        ("recorded", [1, 2, 3]),
    ]  # fmt: skip


def test_where_the_target_has_one_of_them_already_each_is_run_by_itself(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.elsewhere = stand.applied = True

    assert one_by_one(stand, caplog) == "one of them was done before"
    assert stand.asked("completed") == []


def test_what_the_target_has_committed_is_completed_one_by_one_and_never_run_again(
    stand: Stand,
) -> None:
    stand.elsewhere, stand.refusing = True, ValueError("violates foreign key")

    assert stand.done()

    assert stand.said[-2:] == [("counted", 2), ("each", [1, 2, 3])]
    assert "rolled back" not in stand.said
    assert not stand.batch.ahead


@pytest.mark.parametrize("error", [StoreUnavailable("gone"), ValueError("server closed")])
def test_what_the_target_has_committed_is_recovered_where_the_line_breaks(
    stand: Stand, error: Exception
) -> None:
    stand.elsewhere, stand.refusing = True, error
    stand.at_fault = isinstance(error, ValueError)

    with pytest.raises(StoreUnavailable, match=str(error)):
        stand.done()

    assert stand.asked("each") == []


def test_one_that_is_over_has_the_others_run_by_themselves(
    stand: Stand, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    over: Any = (CompletedBatch(frozenset((UUID(int=1), UUID(int=3)))), [])
    monkeypatch.setattr(stand, "complete_batch", lambda *_: over)

    assert one_by_one(stand, caplog) == "one of them is over"
    assert stand.asked("committed") == []


def test_what_the_parent_has_given_back_is_not_completed(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.own = False

    assert one_by_one(stand, caplog) == "the parent has given the others back"
    assert stand.asked("completed") == []
