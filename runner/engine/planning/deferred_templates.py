"""Renders templates that refer to other steps, once these have ended."""

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from headrace.engine.planning.template_context import run_context, steps_context
from headrace.plan.deferred_rendering import render_late
from headrace.plan.deferred_values import speaks_later
from headrace.plan.environment_references import render_late_env
from headrace.store.attempts import Claimed
from headrace.store.database import Transaction

Render = Callable[[Any, Mapping[str, Any]], Any]


def late_said(
    store: Transaction,
    claimed: Claimed,
    render: Render,
    referring: Callable[[str], Collection[str]],
    in_sql: Callable[[str], Collection[str]],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a late job's arguments and environment variables with their templates rendered.

    Raises:
        TemplateError: A value cannot be rendered.
    """
    variables, handler = late_variables(store, claimed.id)
    payload = render_late(
        claimed.job_class,
        claimed.payload,
        variables,
        render,
        handler=handler,
        referring=referring,
        in_sql=in_sql,
    )
    env = claimed.env or {}
    return payload, render_late_env(
        env, variables, render, lambda text: speaks_later(text, handler)
    )


def late_variables(store: Transaction, job_id: UUID) -> tuple[dict[str, Any], str | None]:
    """Return what a late template of a job may speak of, and the kind of handler that it is in."""
    steps = {
        row["step"]: {"status": row["status"], "result": row["result"], "error": row["error"]}
        for row in store.rows("upstream_results", id=job_id)
    }
    run = store.row("run_of_attempt", id=job_id)
    if run is None:
        return {"steps": steps_context(steps, None), "params": {}, "run": {}}, None
    return {"steps": steps_context(steps, run["empty"]), **run_context(run)}, run["handler"]
