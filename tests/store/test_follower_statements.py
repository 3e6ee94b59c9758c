"""A hop of a chain: each condition under which a job goes on with the next one, alone."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import DataError

from headrace.store.attempts import CAN
from tests.support.run_rows import RunRows


def holds(made: RunRows, statement: str, **values: Any) -> bool:
    """Tell whether a statement that divides by what it has found goes through."""
    try:
        made.rows.database.rows(statement, **values)
    except DataError:
        return False
    return True


def hand_on(made: RunRows, job: UUID, following: UUID, attempt: int = 1) -> bool:
    values = {"id": job, "attempt": attempt, "result": "7", "xact": None, "next_id": following}
    return holds(made, "complete_handing_on_or_refuse", **values)


def test_a_job_hands_on_to_the_one_that_it_releases_alone(made: RunRows) -> None:
    job, other = made.job(None, "started"), made.job(None, "started")
    following = made.below(made.job(deps_left=1), job)
    elsewhere = made.below(made.job(deps_left=1), other)

    assert not hand_on(made, job, elsewhere)
    assert not hand_on(made, job, following, attempt=2)
    assert [made.of("job", one, "status") for one in (job, following)] == ["started", "waiting"]
    assert hand_on(made, job, following)

    assert made.of("job", job, "status", "result") == ("completed", 7)
    assert made.of("job", following, "status", "deps_left") == ("queued", 0)
    assert made.of("job", other, "status") == "started"
    assert made.of("job", elsewhere, "status", "deps_left") == ("waiting", 1)
    assert not hand_on(made, job, following), "it has ended"


def test_where_something_else_is_released_or_to_be_decided_it_hands_on_to_none(
    made: RunRows,
) -> None:
    for beside in ({}, {"when_expr": "x"}, {"pool": "p", "pool_slots": 1}):
        job = made.job(None, "started")
        following = made.below(made.job(deps_left=1), job)
        made.below(made.job(deps_left=1, **beside), job)
        assert not hand_on(made, job, following), beside
        assert made.of("job", job, "status") == "started"


def test_where_there_are_more_below_than_edges_are_seen_it_hands_on_to_none(made: RunRows) -> None:
    job = made.job(None, "started")
    following = made.below(made.job(deps_left=1), job)
    made.rows.sql("UPDATE headrace.job SET dependents = 2 WHERE id = %(id)s", id=str(job))

    assert not hand_on(made, job, following)


@pytest.mark.parametrize(
    ("state", "given", "is_claimed"),
    [
        ({}, {}, True),
        ({"needs": CAN}, {}, True),
        ({"needs": CAN + 1}, {}, False),
        ({"queue": "high"}, {}, False),
        ({"attempt": 3}, {}, False),
        *(({"status": one}, {}, False) for one in ("waiting", "started", "cancelled", "retrying")),
        ({}, {"next_id": UUID(int=1)}, False),
    ],
)
def test_a_job_is_claimed_by_the_way_as_it_would_be_by_its_message(
    made: RunRows, state: dict[str, Any], given: dict[str, Any], is_claimed: bool
) -> None:
    usual = {"status": "queued", "attempt": 2, "queue": "low", "finished_at": "2026-07-01"}
    job, other = (made.job(**{**usual, **state}) for _ in range(2))
    usual_values = {"next_id": job, "next_attempt": 2, "worker": "w", "queues": ["low", "mid"]}
    before = [made.of("job", one, "status", "attempt", "worker") for one in (job, other)]

    values = {**usual_values, "can": CAN, **given}
    assert holds(made, "claim_below_or_refuse", **values) == is_claimed

    if is_claimed:
        before[0] = ("started", 3, "w")
        assert made.of("job", job, "started_at", "finished_at")[1] is None
        assert made.of("job", job, "started_at") is not None
    assert [made.of("job", one, "status", "attempt", "worker") for one in (job, other)] == before


def test_behind_its_commit_the_job_is_read_that_was_claimed_by_this_worker(made: RunRows) -> None:
    state: dict[str, Any] = {"status": "started", "attempt": 3, "worker": "w"}
    wrong: list[dict[str, Any]] = [
        {"attempt": 4}, {"status": "cancelled"}, {"status": "completed"}, {"worker": "other"},
    ]  # fmt: skip
    mine = made.job(**state)
    others = [made.job(**{**state, **one}) for one in wrong]

    def read(job: UUID) -> Any:
        (row,) = made.rows.database.rows("number_and_claimed", next_id=job, attempt=3, worker="w")
        assert int(row["number"]) > 0
        return row["id"], row["attempt"]

    assert read(mine) == (mine, 3)
    assert [read(one) for one in (*others, UUID(int=1))] == [(None, None)] * 5


def test_a_claim_tells_the_only_job_below_and_none_of_another(made: RunRows) -> None:
    def queued(*, below: int, attempt: int = 0) -> UUID:
        job = made.job(None, "queued")
        for _ in range(below):
            made.below(made.job(deps_left=1, attempt=attempt), job)
        return job

    other, alone, two = queued(below=1), queued(below=0), queued(below=2)
    mine = queued(below=1, attempt=4)
    (following,) = made.rows.sql(
        "SELECT job_id::text AS id FROM headrace.job_dependency WHERE upstream_id = %(id)s",
        id=str(mine),
    )

    told: dict[UUID, list[Any] | None] = {}
    for job in (mine, other, alone, two):
        claimed = made.rows.store.claim(str(job), 0)
        assert claimed is not None
        told[job] = None if claimed.below is None else list(claimed.below)

    assert told[mine] == [following["id"], 4]
    assert (told[alone], told[two]) == (None, None)
    assert told[other] is not None
    assert told[other] != told[mine]
