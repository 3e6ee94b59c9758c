"""What late templates may speak of: the run, and how its other steps have ended."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import UUID

from runner.engine.conditions import run_context, steps_context
from runner.store.database import Row

Render = Callable[[Any, Mapping[str, Any]], Any]


class Reading(Protocol):
    """Where a named statement can be run for its first row or for all."""

    def rows(self, statement: str, **values: Any) -> Any:
        """Run a statement and return its rows."""
        ...

    def row(self, statement: str, **values: Any) -> Row | None:
        """Run a statement and return its first row."""
        ...


def late_variables(store: Reading, job_id: UUID) -> tuple[dict[str, Any], str | None]:
    """Return the variables of a late job's templates, and which handler it is, if it is one."""
    steps = {
        row["step"]: {"status": row["status"], "result": row["result"]}
        for row in store.rows("upstream_results", id=job_id)
    }
    run = store.row("run_of_attempt", id=job_id)
    if run is None:
        return {"steps": steps_context(steps, None), "params": {}, "run": {}}, None
    variables = {"steps": steps_context(steps, run["empty"]), **run_context(run)}
    return variables, run["handler"]
