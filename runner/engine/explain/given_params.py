"""Holds what a step gives the pipeline that it runs against what that one declares."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.engine.explain.unknown_value import UNTOUCHABLE
from headrace.model.paramtypes import read, violations
from headrace.model.pipeline import Param, Pipeline


def faults_of_given(
    target: Pipeline, known: Mapping[str, Any], samples: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield each parameter whose value its pipeline would refuse, and why.

    Of `samples` only the type counts; a text may become anything.
    """
    declared = {param.name: param for param in target.params}
    for name, value in known.items():
        if name in declared and value is not UNTOUCHABLE and value is not None:
            fault = _fault(declared[name], value)
            if fault:
                yield name, fault
    for name, sample in samples.items():
        if name in declared and known.get(name) is UNTOUCHABLE and not isinstance(sample, str):
            try:
                read(declared[name].type, sample)
            except ValueError:
                yield name, f"is of another type than {declared[name].type}"


def _fault(param: Param, value: Any) -> str:
    try:
        return "; ".join(violations(param, read(param.type, value)))
    except (ValueError, TypeError) as error:
        return str(error)
