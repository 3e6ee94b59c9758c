"""Which new run may start beside those that are open."""

from typing import Any
from uuid import UUID

import pytest

from headrace.engine.attempts.one_message import OneMessage
from headrace.engine.gating.concurrency import Admission, Groups
from headrace.model.pipeline import Concurrency

A, B, C, NEW = (UUID(int=number) for number in range(1, 5))


def open_run(run: UUID, status: str = "running", *, ending: bool = False, group: str = "g") -> Any:
    return {"id": run, "status": status, "ending": ending, "concurrency_group": group}


def rule(on_conflict: Any = "queue", limit: int = 1) -> Concurrency:
    return Concurrency(group="g", limit=limit, on_conflict=on_conflict)


ONE = "1 run is running of the 1 that may at a time (concurrency, on_conflict: {})"
TWO = "2 runs are running of the 2 that may at a time (concurrency, on_conflict: fail)"


@pytest.mark.parametrize(
    ("open_runs", "wanted", "admission"),
    [
        ([], rule(), Admission("running")),
        ([open_run(A, group="other")], rule(), Admission("running")),
        ([open_run(A)], rule(), Admission("queued")),
        ([open_run(A)], rule(limit=2), Admission("running")),
        # One that is cancelled has its place until its last handlers have ended.
        ([open_run(A, ending=True)], rule(), Admission("queued")),
        # Nobody overtakes one that waits, but who would not wait does not wait for it.
        ([open_run(A), open_run(B, "queued")], rule(limit=2), Admission("queued")),
        ([open_run(A), open_run(B, "queued")], rule("skip", 2), Admission("running")),
        ([open_run(A)], rule("skip"), Admission("skipped", ONE.format("skip"))),
        ([open_run(A), open_run(B)], rule("fail", 2), Admission("failed", TWO)),
        ([open_run(A)], rule("replace"), Admission("replace", None, [A])),
        (
            [open_run(A), open_run(B), open_run(C, "queued")],
            rule("replace", 2),
            Admission("replace", None, [A, B]),
        ),
        ([open_run(A, ending=True)], rule("replace"), Admission("replace", None, [])),
    ],
)
def test_a_run_is_admitted_by_what_is_open(
    open_runs: list[Any], wanted: Concurrency, admission: Admission
) -> None:
    assert Groups(open_runs).admit(NEW, wanted) == admission


def test_each_admitted_run_counts_for_the_next_one() -> None:
    groups = Groups()

    told = [groups.admit(run, rule(limit=2)).status for run in (A, B, C, NEW)]

    assert told == ["running", "running", "queued", "queued"]


def test_one_that_was_queued_is_overtaken_by_none_and_replaced_with_the_others() -> None:
    """Pipelines that share a group may each say what a conflict means, and how many may run."""
    groups = Groups()
    assert groups.admit(A, rule()).status == "running"
    assert groups.admit(B, rule()).status == "queued"

    assert groups.admit(C, rule(limit=2)).status == "queued"
    assert groups.admit(NEW, rule("replace")) == Admission("replace", None, [A, B, C])


@pytest.mark.parametrize(("ending", "status"), [(0, "running"), (1, "queued")])
def test_a_replacement_waits_for_those_that_tidy_up(ending: int, status: str) -> None:
    groups = Groups([open_run(A)])
    groups.admit(NEW, rule("replace"))

    assert groups.admit_replacement(NEW, rule("replace"), ending) == Admission(status)
    # It has its place: the next one takes that of this one.
    following = groups.admit(C, rule("replace"))
    assert following == Admission("replace", None, [NEW])


# -- completion and commit in one message ---------------------------------------------------------


def test_one_message_is_tried_again_after_a_failure_later_each_time() -> None:
    learned = OneMessage()
    assert learned.is_worth_it(1)
    rests = []
    for _ in range(9):
        learned.note(1, failed=True)
        rest = 0
        while not learned.is_worth_it(1):
            rest += 1
        rests.append(rest)

    assert rests == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    learned.note(1, failed=False)
    learned.note(1, failed=True)
    assert [learned.is_worth_it(1) for _ in range(2)] == [False, True], "it begins anew"


def test_a_job_without_dependants_is_always_worth_it_and_teaches_nothing() -> None:
    learned = OneMessage()
    learned.note(0, failed=True)
    assert learned.is_worth_it(1)
    learned.note(1, failed=True)

    assert learned.is_worth_it(0)
    assert not learned.is_worth_it(1), "its rest was not used up"
