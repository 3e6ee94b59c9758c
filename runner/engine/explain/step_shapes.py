"""Infers the types of the values that a pipeline's templates will see."""

from functools import cached_property
from typing import Any

from headrace.declarations.rules.template_names import Said, Variables, of_item, of_run, of_steps
from headrace.declarations.template_references import scalars
from headrace.engine.catalog.job_registry import Registry
from headrace.model.pipeline import Pipeline, Step
from headrace.template.braces import has_template
from headrace.template.checking import check_value
from headrace.template.shapes import Shape, as_json, joined, mapping_of, of_param, of_value


class StepShapes:
    """Names and shapes to which the templates of one pipeline's steps may refer."""

    def __init__(self, pipeline: Pipeline, registry: Registry) -> None:
        self._pipeline = pipeline
        self._registry = registry

    def of_step(self, step: Step) -> Variables:
        """Return what the values of a step may speak of."""
        variables = {
            "params": self.params,
            "run": of_run(handler=step.handler is not None),
            "steps": self._steps,
        }
        if step.foreach is not None:
            variables[step.foreach.as_] = of_item(step.foreach.items, variables)
        return variables

    def of_condition(self, step: Step) -> Variables:
        """Return what the condition of a step may speak of."""
        run = of_run(handler=step.handler is not None)
        return {"params": self.params, "run": run, "steps": self._ended_steps}

    @cached_property
    def params(self) -> Shape:
        """A run's parameters as the file declares them."""
        members = {
            param.name: of_param(
                {"type": param.type, "enum": list(param.enum or ())}, f"params.{param.name}"
            )
            for param in self._pipeline.params
        }
        return mapping_of(members, "params")

    @cached_property
    def _steps(self) -> Shape:
        return of_steps(self._said(), self._registry, when=False)

    @cached_property
    def _ended_steps(self) -> Shape:
        return of_steps(self._said(), self._registry, when=True)

    def _said(self) -> list[Said]:
        return [
            Said(
                step.id,
                None if step.pipeline else step.job,
                step.pipeline is not None,
                step.foreach is not None,
            )
            for step in self._pipeline.steps
        ]


def of_argument(value: Any, variables: Variables) -> Shape:
    """Return the shape of a value of `with` as its job is given it."""
    if isinstance(value, str) and has_template(value):
        return as_json(check_value(value, variables).shape)
    if not any(has_template(part) for _path, part in scalars(value, ())):
        return as_json(of_value(value))
    if isinstance(value, dict):
        return mapping_of({str(key): of_argument(part, variables) for key, part in value.items()})
    return Shape([], item=joined(of_argument(part, variables) for part in value))
