"""Decisions that come too late: what another process has done meanwhile is left as it is."""

from typing import Any
from uuid import UUID

import pytest

from headrace.engine.gating.gate import decide
from headrace.engine.gating.run_completion import after_finish
from tests.support.fake_database import FakeDatabase

JOB, OTHER, RUN = (UUID(int=number) for number in range(1, 4))


def condition(job: UUID, verdict: str) -> dict[str, Any]:
    return {
        "id": job, "verdict": verdict, "when_expr": None, "pipeline": "p", "params": {},
        "logical_date": None, "trigger": "manual", "param_types": {}, "timezone": None,
        "empty": None, "steps": {}, "outcome": None,
    }  # fmt: skip


@pytest.mark.parametrize(("verdict", "released"), [("queued", [JOB, OTHER]), ("waiting", [OTHER])])
def test_a_job_that_waits_for_a_step_again_is_neither_released_nor_skipped(
    verdict: str, released: list[UUID]
) -> None:
    rows = [condition(JOB, verdict), condition(OTHER, "queued")]
    store: Any = FakeDatabase({"undecided_jobs": [{"id": JOB}, {"id": OTHER}], "conditions": rows})

    assert decide(store) == ([], set())

    assert store.values_of("release_jobs") == [{"ids": released}]
    assert store.values_of("skip_jobs") == store.values_of("fail_undecided") == []


def test_handlers_of_a_run_that_has_ended_meanwhile_are_not_opened() -> None:
    running = {"id": RUN, "status": "running", "parent_job": None, "concurrency_group": None}
    opened = {"id": JOB, "status": "queued", "attempt": 0, "queue": "low", "timeout_s": 60.0}
    for locked, sent in (([], []), ([{"id": RUN}], [JOB])):
        store: Any = FakeDatabase({"lock_run": locked, "open_handlers": [opened]})

        finished, messages = after_finish(store, [running])  # type: ignore[list-item]

        assert finished == []
        assert [one.job_id for one in messages] == sent
        assert len(store.values_of("open_handlers")) == len(sent)
