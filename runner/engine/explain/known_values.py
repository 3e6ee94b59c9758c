"""Finds the values that a pipeline's steps have before any run: constants and defaults."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from headrace.declarations.source import KeyPath
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.step_shapes import StepShapes
from headrace.engine.explain.unknown_value import UNTOUCHABLE
from headrace.engine.planning.run_params import with_params
from headrace.errors import HeadraceError, InvalidParams
from headrace.model.pipeline import Param, Pipeline, Step
from headrace.plan.deferred_values import fault_of_items, speaks_later
from headrace.plan.environment_references import Keys, as_variables
from headrace.plan.expand import plain, sql_is_verbatim
from headrace.plan.graph import topological_order
from headrace.plan.params import resolve_params
from headrace.plan.variables import run_variables
from headrace.template.braces import has_template
from headrace.template.checking import check_value
from headrace.template.shapes import Shape, as_json
from headrace.template.syntax import reading
from headrace.template.values import render_value


@dataclass(frozen=True, slots=True)
class Rendered:
    """One job of a step as far as it is known; `complete` where all of it is.

    What is not known is UNTOUCHABLE in `payload`. `fault` is the key of a value that cannot be
    rendered, and why.
    """

    payload: dict[str, Any] = field(default_factory=dict)
    complete: bool = True
    fault: tuple[KeyPath, HeadraceError] | None = None


class Known:
    """Known values of one pipeline. `fault`: its defaults do not fit."""

    def __init__(
        self,
        pipeline: Pipeline,
        registry: Registry,
        shapes: StepShapes,
        now: datetime,
        given: Collection[str] = (),
    ) -> None:
        """`given` are parameters that those who start its runs give them."""
        self._shapes = shapes
        self._pipeline = pipeline
        self._registry = registry
        self.fault: HeadraceError | None = None
        run = run_variables(pipeline, now, {"trigger": "manual"})
        self._unknown = {
            param.name
            for param in pipeline.params
            if param.required or (param.default is None and param.name in given)
        }
        params: dict[str, Any] = {}
        try:
            params = self._resolved(run)
        except HeadraceError as error:
            self.fault = error
            self._unknown = {param.name for param in pipeline.params}
        self._variables: dict[str, Any] = {"params": params, "run": run}

    @property
    def params(self) -> Mapping[str, Any]:
        """The parameters of a run that is given none, as far as they are known."""
        params: Mapping[str, Any] = self._variables["params"]
        return params

    def _resolved(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a run that is given nothing; the unknown ones are left out."""
        known: list[Param] = []
        for param in self._pipeline.params:
            if param.name not in self._unknown:
                if self._is_unknown(param.default, set()):
                    self._unknown.add(param.name)
                else:
                    known.append(param)
        own = Pipeline(
            name=self._pipeline.name, file="", folder="", version="", steps=(), params=tuple(known)
        )
        try:
            return resolve_params(own, {}, render=render_value, variables={"run": run})
        except InvalidParams as error:
            lines = str(error).splitlines()[1:]
            raise InvalidParams("; ".join(line.strip() for line in lines)) from None

    def is_reached(self, step: Step) -> bool:
        """Return whether the step's condition is looked at in every run that goes well."""
        in_time = step.trigger_rule not in ("all_failed", "one_failed")
        return in_time and step.handler != "failure" and self.surely.issuperset(step.depends_on)

    @cached_property
    def surely(self) -> frozenset[str]:
        """The steps that run in every run that goes well."""
        steps = {step.id: step for step in self._pipeline.steps}
        sure: set[str] = set()
        for name in topological_order({one.id: one.depends_on for one in steps.values()}):
            step = steps[name]
            # Under `always` it depends on none.
            goes_on = step.when is None and step.trigger_rule in ("all_success", "always")
            if goes_on and sure.issuperset(step.depends_on):
                sure.add(name)
        return frozenset(sure)

    def jobs(self, step: Step) -> Iterator[Rendered]:
        """Yield the jobs that the step becomes; one where its items are not known."""
        registry = self._registry
        keys = Keys.of(sql_is_verbatim, registry.referring, registry.in_sql, step.job)
        if step.foreach is None:
            yield self._job(step, keys, {}, set())
            return
        name, items = step.foreach.as_, step.foreach.items
        if speaks_later(items, step.handler) or self._not_known(step, items, set()):
            yield self._job(step, keys, {}, {name})
            return
        found, refused = self._items(items)
        if refused is not None:
            yield Rendered(fault=(("foreach", "items"), refused))
        for item in found:
            yield self._job(step, keys, {name: item}, set())

    def _items(self, items: Any) -> tuple[Sequence[Any], HeadraceError | None]:
        """Return the items of a foreach, or what they are refused for."""
        try:
            found = render_value(items, self._variables)
        except HeadraceError as error:
            return (), error
        fault = fault_of_items(found)
        return ((), HeadraceError(fault)) if fault is not None else (found, None)

    def _job(self, step: Step, keys: Keys, item: Mapping[str, Any], unknown: set[str]) -> Rendered:
        variables = {**self._variables, **item}
        payload: dict[str, Any] = {}
        complete = True
        for key, value in step.with_.items():
            if key in keys.verbatim:
                payload[key] = plain(value)
                continue
            complete = complete and not self._not_known(step, value, unknown)
            try:
                payload[key] = self._rendered(step, value, variables, unknown, keys, [key])
            except HeadraceError as error:
                return Rendered(fault=((key,), error))
        for name, text in step.env.items():
            if not speaks_later(text, step.handler) and not self._is_unknown(text, unknown):
                try:
                    as_variables(render_value)(text, variables)
                except HeadraceError as error:
                    return Rendered(fault=(("env", name), error))
        return Rendered(*self._with_params(step, payload, complete))

    def _with_params(
        self, step: Step, payload: dict[str, Any], complete: bool
    ) -> tuple[dict[str, Any], bool]:
        """Give a job that runs SQL the run's parameters, where what it reads of them is known."""
        if not complete or step.pipeline is not None:
            return payload, complete
        params = self.params
        known = {param.name for param in self._pipeline.params} <= set(params)
        in_question = not known or (bool(params) and step.id not in self.surely)
        if "params" in self._registry.get(step.job).parameters and in_question:
            return payload, False
        given = with_params(self._registry, step.job, payload, params, of_item=False)
        return dict(given), complete

    def samples(self, step: Step) -> Iterator[tuple[str, Any]]:
        """Yield arguments whose value is not known, with one of the type that it will have."""
        variables = self._shapes.of_step(step)
        for key, value in step.with_.items():
            if has_template(value) and key not in sql_is_verbatim(step.job):
                shape = as_json(check_value(value, variables).shape)
                if _is_typed(shape):
                    yield key, shape.sample

    def _rendered(
        self,
        step: Step,
        value: Any,
        variables: Mapping[str, Any],
        unknown: set[str],
        keys: Keys,
        path: list[str],
    ) -> Any:
        """Return a value rendered text by text, as a plan does, as far as it is known.

        A plan renders the values of all steps, of those that may not run, too.
        """
        if isinstance(value, Mapping):
            return {
                str(key): self._rendered(step, part, variables, unknown, keys, [*path, str(key)])
                for key, part in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._rendered(step, part, variables, unknown, keys, path) for part in value]
        if speaks_later(value, step.handler) or self._is_unknown(value, unknown):
            return UNTOUCHABLE
        render = keys.render_of(path, render_value)
        rendered = plain(render(value, variables)) if isinstance(value, str) else plain(value)
        return UNTOUCHABLE if self._not_known(step, value, unknown) else rendered

    def _not_known(self, step: Step, value: Any, unknown: set[str]) -> bool:
        """Return whether a value depends on what only a run knows."""
        if speaks_later(value, step.handler) or self._is_unknown(value, unknown):
            return True
        # What may not run is held to what it says by itself only.
        return step.id not in self.surely and _depends(value)

    def _is_unknown(self, value: Any, unknown: set[str]) -> bool:
        if isinstance(value, Mapping):
            return any(self._is_unknown(part, unknown) for part in value.values())
        if isinstance(value, list | tuple):
            return any(self._is_unknown(part, unknown) for part in value)
        if not has_template(value):
            return False
        said = reading(value)
        read = {str(chain[0]) for chain in said.of("params")}
        whole = ("params",) in said.chains
        return bool(read & self._unknown or (whole and self._unknown) or said.names & unknown)


def _depends(value: Any) -> bool:
    """Return whether a value depends on parameters or on the run."""
    if isinstance(value, Mapping):
        return any(map(_depends, value.values()))
    if isinstance(value, list | tuple):
        return any(map(_depends, value))
    return has_template(value) and bool(reading(value).names & {"params", "run"})


def _is_typed(shape: Shape) -> bool:
    return shape.known and shape.members is None and shape.sample is not None and bool(shape.kind)
