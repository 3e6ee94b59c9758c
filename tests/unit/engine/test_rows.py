"""What a job's row says of the workers that may take it."""

from typing import Any

import pytest

from headrace.engine.dispatch.rows import planned_row
from headrace.model.plan import FOREACH


@pytest.mark.parametrize(
    ("asked", "needs"),
    [
        ({}, None),
        ({"env": {}}, None),
        ({"pool": "narrow"}, 4),
        ({"env": {"REGION": "eu"}}, 5),
        ({"env": {"REGION": "eu"}, "pool": "narrow"}, 5),
    ],
)
def test_a_row_needs_workers_that_know_all_that_it_asks_for(
    asked: dict[str, Any], needs: int | None
) -> None:
    assert (
        planned_row(job_class="RunSql", payload={"env": "x", "pool": "y"}, **asked)["needs"]
        == needs
    )
    # What makes the jobs of items needs what they do, which is in its arguments.
    assert planned_row(job_class=FOREACH, payload=asked)["needs"] == needs
