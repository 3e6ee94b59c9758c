"""A foreach over what other steps have returned: one job that makes one an item.

It waits, is claimed and is tried again like any other. Its effect are the jobs of the items,
which are inserted in the transaction that completes it: they come into being once or not at all,
and as a completed job never runs again, they are never made anew.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from headrace.engine.attempts.job_making import class_may_be_unknown
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.gating.gate import recount
from headrace.engine.gating.pools import assign_slots_of
from headrace.engine.planning.deferred_templates import Render, late_variables
from headrace.engine.planning.run_params import with_params
from headrace.errors import HeadraceError, TemplateError
from headrace.model import exact_json
from headrace.model.subpipeline import pipeline_of
from headrace.plan.deferred_values import fault_of_items
from headrace.plan.environment_references import Keys, as_variables
from headrace.plan.expand import MOST_EDGES, MOST_PROBLEMS, plain, sql_is_verbatim
from headrace.queue.message import Message
from headrace.store.attempts import AttemptStore, Claimed, Completed
from headrace.store.crash_points import crash_point
from headrace.store.log_lines import LogLines
from headrace.template.syntax import Chain, reading

# What the items' arguments may take together: a result that is repeated in every item's would
# grow with the square of their number.
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Expansion:
    """The jobs to make: of one class, with a payload as JSON's text for each item.

    `envs` are their environment variables.
    """

    job_class: str
    payloads: tuple[str, ...]
    envs: tuple[dict[str, str] | None, ...]
    pool: str | None = None
    slots: int | None = None

    @property
    def result(self) -> str:
        """The result of the job that makes them, as JSON's text; without items the step's."""
        return json.dumps({"items": len(self.payloads)} if self.payloads else [])


def expand_items(
    store: AttemptStore, claimed: Claimed, render: Render, registry: Registry
) -> Expansion:
    """Return the jobs of a step's items; nothing is written.

    Raises:
        TemplateError: The items are none, or a value cannot be rendered with one of them.
    """
    planned = claimed.payload
    variables, _handler = late_variables(store, claimed.id)
    items = _items(claimed, planned["foreach"]["items"], variables, render)
    payloads: list[str] = []
    envs: list[dict[str, str] | None] = []
    job = planned["job"]
    keys = Keys.of(sql_is_verbatim, registry.referring, registry.in_sql, job)
    problems: list[str] = []
    size = 0
    for index, item in enumerate(items):
        own = {**variables, planned["foreach"]["as"]: item}
        name = f"{claimed.step}[{index}]"
        payload = dict(_payload(name, planned["with"], keys, own, render, problems))
        envs.append(dict(_env(name, planned["env"], own, render, problems)) or None)
        if len(problems) >= MOST_PROBLEMS:
            break
        with class_may_be_unknown():
            given = with_params(registry, job, payload, variables["params"], of_item=True)
        payloads.append(exact_json.dumps(given, default=str))
        size += len(payloads[-1]) + sum(map(len, (envs[-1] or {}).values()))
        if size > MOST_BYTES:
            raise TemplateError(
                f'step "{claimed.step}": the arguments of its {len(items)} items take more than'
                f" {MOST_BYTES >> 20} MiB together; hand on what each needs, not a whole result"
            )
    if problems:
        raise TemplateError("\n".join(problems))
    return Expansion(
        planned["job"], tuple(payloads), tuple(envs), planned["pool"], planned["slots"]
    )


def complete_items(
    store: AttemptStore,
    claimed: Claimed,
    made: Expansion,
    log: LogLines | None,
    finish_runs: Callable[[list[UUID | None]], list[Message]],
) -> Completed:
    """Complete the attempt and insert its jobs, in one transaction.

    `finish_runs` finishes a run of which nothing may be left, where there are no items.

    Raises:
        StaleAttempt: The attempt is over; no job was made.
    """
    with store.transaction() as tx:
        # As one without dependants: they are not lowered, but wait for the items from now on.
        store.complete(claimed._replace(dependents=0), made.result, log)
        crash_point("expanding")
        messages = _insert(tx, claimed, made)
        crash_point("expanded")
    crash_point("after-expansion")
    if made.pool is not None and made.slots is not None:
        messages += assign_slots_of(store, made.pool, made.slots)
    if not made.payloads:
        messages += finish_runs([claimed.run_id])
    released = [(str(one.job_id), one.attempt, one.queue, one.timeout_s) for one in messages]
    return Completed(claimed.run_id, claimed.dependents, released)


def _items(
    claimed: Claimed, template: Any, variables: Mapping[str, Any], render: Render
) -> list[Any]:
    place = f'step "{claimed.step}", foreach.items'
    try:
        items = render(template, variables)
    except HeadraceError as error:
        raise TemplateError(f"{place}: {error}") from None
    fault = fault_of_items(items) or _fault_of_rows(str(template), variables["steps"])
    if fault:
        raise TemplateError(f"{place}: {fault}")
    edges = len(items) * claimed.dependents
    if edges > MOST_EDGES:
        raise TemplateError(
            f'step "{claimed.step}": {claimed.dependents} jobs that each wait for {len(items)}'
            f" items make {edges} dependencies, more than {MOST_EDGES}; put a step between the two"
        )
    return list(items)


def _fault_of_rows(template: str, steps: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return why items taken from rows would not be all of them, or None.

    A result holds the first rows only: the others would be left out without a word.
    """
    named = {str(chain[0]) for chain in reading(template).of("steps") if _is_all_rows(chain)}
    for name in sorted(named & steps.keys()):
        result = steps[name]["result"]
        rows = result.get("rows") if isinstance(result, Mapping) else None
        if not isinstance(result, Mapping) or not isinstance(rows, list):
            continue
        count = result.get("row_count", result.get("groups"))
        if isinstance(count, int) and count > len(rows):
            return (
                f'step "{name}" returned {count} rows, of which its result holds the first'
                f" {len(rows)}; have RunSql hold more of them (keep_rows), or select fewer"
            )
    return None


def _is_all_rows(chain: Chain) -> bool:
    """Tell whether this is `load.result.rows`, and not one of them, `load.result.rows[0]`."""
    return chain[1:3] == ("result", "rows") and not any(isinstance(one, int) for one in chain[3:4])


def _payload(
    name: str,
    with_: Mapping[str, Any],
    keys: Keys,
    variables: Mapping[str, Any],
    render: Render,
    problems: list[str],
) -> Iterator[tuple[str, Any]]:
    for key, value in with_.items():
        try:
            kept = key in keys.verbatim
            yield key, value if kept else _rendered(value, variables, [key], keys, render)
        except HeadraceError as error:
            problems.append(f'step "{name}", with.{key}: {error}')


def _env(
    name: str,
    env: Mapping[str, str],
    variables: Mapping[str, Any],
    render: Render,
    problems: list[str],
) -> Iterator[tuple[str, str]]:
    rendered = as_variables(render)
    for key, text in env.items():
        try:
            yield key, rendered(text, variables)
        except HeadraceError as error:
            problems.append(f'step "{name}", env.{key}: {error}')


def _rendered(
    value: Any, variables: Mapping[str, Any], path: list[str], keys: Keys, render: Render
) -> Any:
    # Text by text: a reference to an environment variable is one within a text.
    if isinstance(value, Mapping):
        return {
            key: _rendered(item, variables, [*path, key], keys, render)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_rendered(item, variables, path, keys, render) for item in value]
    if not isinstance(value, str):
        return value
    return plain(keys.render_of(path, render)(value, variables))


def _insert(tx: AttemptStore, claimed: Claimed, made: Expansion) -> list[Message]:
    # Right behind the maker's own, an order that `add_jobs` has left room for.
    ids = [UUID(int=claimed.id.int + 1 + index) for index in range(len(made.payloads))]
    dependants = [row["id"] for row in tx.rows("hold_dependants", upstream=claimed.id)]
    if ids:
        items = [
            {"id": str(one), "step": f"{claimed.step}[{index}]", "payload": payload, "env": env}
            for index, (one, payload, env) in enumerate(
                zip(ids, made.payloads, made.envs, strict=True)
            )
        ]
        tx.rows(
            "insert_items",
            id=claimed.id,
            job_class=made.job_class,
            items=exact_json.dumps(items),
            pool=made.pool,
            slots=made.slots,
            dependents=len(dependants),
        )
    if not ids:
        # The step has completed without having done anything: that is what counts below it.
        return recount(tx, dependants)
    tx.rows("hand_over", id=claimed.id, items=ids, dependants=dependants)
    # What runs a pipeline is the daemon's to start, which has been told so.
    if made.pool is not None or pipeline_of(made.job_class) is not None:
        return []
    return [Message(one, 0, claimed.queue, claimed.timeout_s) for one in ids]
