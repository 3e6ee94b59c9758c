"""A pipeline and its parameters become a plan: every job of one run, ready to be stored."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from headrace.errors import HeadraceError, TemplateError
from headrace.model import exact_json
from headrace.model.pipeline import Foreach, Pipeline, Step
from headrace.model.plan import Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.subpipeline import pipeline_of
from headrace.plan.deferred_values import fault_of_items, speaks_later, speaks_of
from headrace.plan.environment_references import Keys, as_variables, no_keys
from headrace.plan.graph import topological_order
from headrace.plan.variables import run_variables

Render = Callable[[Any, Mapping[str, Any]], Any]

# Dependencies of one step's jobs: a foreach that follows a foreach has their product.
MOST_EDGES = 1_000_000
# One mistake in a foreach is a mistake in each of its jobs.
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class ExpandDefaults:
    """Defaults of a step. `timeout_s` is in seconds.

    `pools` has the number of slots of each pool.
    """

    queue: str = "medium"
    timeout_s: float = 300.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    pools: Mapping[str, int] = field(default_factory=dict)


def sql_is_verbatim(job: str) -> Collection[str]:
    """Return the keys of `with` that are templates of their own: by default `sql`.

    Rendered here as text, a value would become SQL; the job binds it instead. A pipeline that
    is run has no SQL of its own: what it is given are parameters, whatever their names.
    """
    return ("sql",) if pipeline_of(job) is None else ()


def expand(  # noqa: PLR0913 - what a plan is made of
    pipeline: Pipeline,
    *,
    params: Mapping[str, Any],
    logical_date: datetime,
    render: Render,
    run_context: Mapping[str, Any] | None = None,
    defaults: ExpandDefaults | None = None,
    verbatim: Callable[[str], Collection[str]] = sql_is_verbatim,
    referring: Callable[[str], Collection[str]] = no_keys,
    in_sql: Callable[[str], Collection[str]] = no_keys,
) -> Plan:
    """Return the jobs of one run in an order in which each follows what it depends on.

    `params` are resolved already; `render(value, variables)` renders one template;
    `run_context` adds to the variables of `run.`. Values over `steps.` stay and make jobs late.

    Raises:
        TemplateError: values that cannot be rendered, all of them, each with its place.
        ValueError: the steps form a cycle.
    """
    defaults = defaults or ExpandDefaults()
    variables = {
        "params": dict(params),
        "run": run_variables(pipeline, logical_date, run_context or {}),
    }
    keys_of = lambda job: Keys.of(verbatim, referring, in_sql, job)  # noqa: E731
    rendered = _rendered(pipeline, variables, render, keys_of, defaults.pools)
    return Plan(
        pipeline=pipeline.name,
        version=pipeline.version,
        params=dict(params),
        logical_date=logical_date,
        param_types={param.name: param.type for param in pipeline.params},
        timezone=str(variables["run"]["logical_date"].tzinfo),
        concurrency=pipeline.concurrency,
        jobs=tuple(_in_order(pipeline, rendered, defaults)),
    )


class _Rendered(NamedTuple):
    """One job of a step. `late`: its payload or env still holds templates over steps.

    With `foreach` it stands for jobs that are made when their items are known.
    """

    name: str
    payload: dict[str, Any]
    env: dict[str, str]
    late: bool
    foreach: Mapping[str, Any] | None = None


def _rendered(
    pipeline: Pipeline,
    variables: Mapping[str, Any],
    render: Render,
    keys_of: Callable[[str], Keys],
    pools: Collection[str],
) -> dict[str, list[_Rendered]]:
    """Return the jobs of each step, after all problems of all steps have been gathered."""
    problems: list[str] = []
    rendered: dict[str, list[_Rendered]] = {}
    for step in (*pipeline.steps, *pipeline.handlers):
        keys = keys_of(step.job)
        if step.pool is not None and step.pool not in pools:
            problems.append(f'step "{step.id}": there is no pool "{step.pool}"')
        rendered[step.id] = list(_expanded(step, variables, render, keys, problems))
    counts = {step: len(jobs) for step, jobs in rendered.items()}
    _check_edges(pipeline, counts, problems)
    if problems:
        raise TemplateError("\n".join(problems))
    return rendered


def _expanded(
    step: Step,
    variables: Mapping[str, Any],
    render: Render,
    keys: Keys,
    problems: list[str],
) -> Iterator[_Rendered]:
    """Yield the step's job, or one job an item."""
    if step.foreach is None:
        yield _Rendering(step, step.id, variables, render, problems).job(keys)
        return
    if speaks_later(step.foreach.items, step.handler):
        # For its problems only: all of it is rendered together, once there are items.
        _Rendering(step, step.id, variables, render, problems, items=False).job(keys)
        foreach = {"items": plain(step.foreach.items), "as": step.foreach.as_}
        yield _Rendered(step.id, plain(step.with_), plain(step.env), late=True, foreach=foreach)
        return
    items = _items(step, step.foreach, variables, render, problems)
    if not items:
        # As where the items come from results: a job that makes none, for rules to count.
        yield _Rendered(step.id, {}, {}, late=True, foreach={"items": [], "as": step.foreach.as_})
    for index, item in enumerate(items):
        name = f"{step.id}[{index}]"
        own = {**variables, step.foreach.as_: item}
        yield _Rendering(step, name, own, render, problems).job(keys)
        if len(problems) >= MOST_PROBLEMS:
            return


def _items(
    step: Step,
    foreach: Foreach,
    variables: Mapping[str, Any],
    render: Render,
    problems: list[str],
) -> list[Any]:
    try:
        items = render(foreach.items, variables)
    except HeadraceError as error:
        problems.append(f'step "{step.id}", foreach.items: {error}')
        return []
    fault = fault_of_items(items)
    if fault:
        problems.append(f'step "{step.id}", foreach.items: {fault}')
        return []
    return list(items)


def _check_edges(pipeline: Pipeline, counts: Mapping[str, int], problems: list[str]) -> None:
    for step in pipeline.steps:
        edges = counts[step.id] * sum(counts.get(up, 0) for up in step.depends_on)
        if edges > MOST_EDGES:
            problems.append(
                f'step "{step.id}": {counts[step.id]} jobs that each wait for all of a foreach'
                f" make {edges} dependencies, more than {MOST_EDGES}; put a step between the two"
            )


def _in_order(
    pipeline: Pipeline, rendered: Mapping[str, Sequence[_Rendered]], defaults: ExpandDefaults
) -> Iterator[PlannedJob]:
    names = {step: [one.name for one in jobs] for step, jobs in rendered.items()}
    steps = {step.id: step for step in (*pipeline.steps, *pipeline.handlers)}
    for name in topological_order({name: step.depends_on for name, step in steps.items()}):
        yield from (_planned(steps[name], one, names, defaults) for one in rendered[name])


def _planned(
    step: Step, job: _Rendered, names: Mapping[str, Sequence[str]], defaults: ExpandDefaults
) -> PlannedJob:
    at_a_time = step.foreach.max_concurrent if step.foreach else None
    return PlannedJob(
        step=job.name,
        job_class=step.job,
        payload=job.payload,
        queue=step.queue or defaults.queue,
        retry=defaults.retry if step.retry is None else step.retry,
        timeout_s=defaults.timeout_s if step.timeout_s is None else step.timeout_s,
        depends_on=tuple(name for up in step.depends_on for name in names[up]),
        trigger_rule=step.trigger_rule,
        when=step.when,
        allow_failure=step.allow_failure,
        late=job.late,
        handler=step.handler,
        pool=step.pool,
        slots=at_a_time if step.pool is None else defaults.pools[step.pool],
        env=job.env,
        foreach=job.foreach,
    )


class _Rendering:
    """The rendering of one step's `with` and `env`, which gathers every problem and goes on."""

    def __init__(
        self,
        step: Step,
        name: str,
        variables: Mapping[str, Any],
        render: Render,
        problems: list[str],
        *,
        items: bool = True,
    ) -> None:
        """`items`: `variables` hold the step's item, if it has one."""
        self._late = False
        self._step = step
        self._items = items
        self._name = name
        self._item = step.foreach.as_ if step.foreach else None
        self._variables = variables
        self._render = render
        self._problems = problems

    def job(self, keys: Keys) -> _Rendered:
        payload = {
            key: plain(value)
            if key in keys.verbatim
            else self._value(value, f"with.{key}", [key], keys)
            for key, value in self._step.with_.items()
        }
        render = as_variables(self._render)
        env = {
            name: self._text(text, f"env.{name}", render) for name, text in self._step.env.items()
        }
        return _Rendered(self._name, payload, env, self._late)

    def _value(self, value: Any, place: str, path: list[str], keys: Keys) -> Any:
        if isinstance(value, Mapping):
            return {
                str(key): self._value(item, f"{place}.{key}", [*path, str(key)], keys)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._value(one, f"{place}[{i}]", path, keys) for i, one in enumerate(value)]
        return self._text(value, place, keys.render_of(path, self._render))

    def _text(self, value: Any, place: str, render: Render) -> Any:
        if not isinstance(value, str):
            return plain(value)
        of_item = self._item is not None and speaks_of(value, self._item)
        if speaks_later(value, self._step.handler):
            self._late = True
            if self._items and of_item:
                self._problems.append(
                    f'step "{self._name}", {place}: one value cannot refer to both'
                    " the foreach item and `steps`"
                )
            return value
        if not self._items and of_item:
            return value
        try:
            return plain(render(value, self._variables))
        except HeadraceError as error:
            self._problems.append(f'step "{self._name}", {place}: {error}')
            return None


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: dates and times as ISO 8601 texts.

    A number of more digits than a float keeps stays a number, a Decimal.
    """
    if isinstance(value, float) and hasattr(value, "spelt"):
        return exact_json.number(value.spelt)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value)
