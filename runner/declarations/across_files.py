"""Checks references between pipeline files, once all of them are loaded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from headrace.declarations.rules.cycles import cycles
from headrace.errors import Problem
from headrace.errors.suggestions import did_you_mean
from headrace.model.moments import clock_of
from headrace.model.paramtypes import read, violations
from headrace.model.pipeline import Param, Pipeline

# File, line and column.
Place = tuple[str, int, int]
_NO_PARAMS = "it declares none"


# The file that cannot be used for it, and what is wrong: it may stand in a _defaults.yaml.
Fault = tuple[str, Problem]


@dataclass(frozen=True, slots=True)
class Argument:
    """A value of `with`; `literal` where it is none that a template makes."""

    name: str
    value: Any
    literal: bool
    name_at: Place
    value_at: Place


@dataclass(frozen=True, slots=True)
class Reference:
    """A step that runs another pipeline, with what it gives it, and the places of both."""

    label: str
    pipeline: str
    at: Place
    with_at: Place
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Declared:
    """Declarations of a file to which others may refer; no `pipeline` where it is invalid."""

    file: str
    name: str
    pipeline: Pipeline | None
    references: Sequence[Reference]


def across(files: Sequence[Declared]) -> Iterator[Fault]:
    """Yield what is wrong between files, each with the file that cannot be used for it."""
    speaking = [file for file in files if file.references]
    if not speaking:
        return
    known: dict[str, Pipeline | None] = {}
    for file in files:
        # A name that two files use is checked elsewhere; which of them is meant nobody knows.
        known[file.name] = None if file.name in known else file.pipeline
    for file in speaking:
        for reference in file.references:
            yield from _unknown(file, reference, known)
            target = known.get(reference.pipeline)
            if target is not None:
                yield from _misfits(file, reference, target)
    yield from _without_end(speaking)
    yield from _waiting_for_themselves(speaking, known)


def _unknown(
    file: Declared, reference: Reference, known: Mapping[str, Pipeline | None]
) -> Iterator[Fault]:
    if reference.pipeline not in known:
        message = f'{reference.label} runs an unknown pipeline "{reference.pipeline}"'
        others = [name for name in known if name != file.name]
        hint = did_you_mean(reference.pipeline, others, listed_as="pipelines")
        hint = hint or "no other file declares one"
        yield file.file, Problem(*reference.at, "unknown-pipeline", message, hint)


def _misfits(file: Declared, reference: Reference, target: Pipeline) -> Iterator[Fault]:
    """Hold what a step gives against what the pipeline declares."""
    declared, zone = {param.name: param for param in target.params}, clock_of(target)
    for given in reference.arguments:
        if given.name not in declared:
            message = f'{reference.label}: {target.name} has no parameter "{given.name}"'
            hint = did_you_mean(given.name, declared, listed_as="it takes") or _NO_PARAMS
            yield file.file, Problem(*given.name_at, "unknown-parameter", message, hint)
        elif given.literal and (fault := _fault(declared[given.name], given.value, zone)):
            message = f'{reference.label}: parameter "{given.name}" of {target.name} {fault}'
            hint = f"see `params` in {target.file}"
            yield file.file, Problem(*given.value_at, "wrong-type", message, hint)
    names = {given.name for given in reference.arguments}
    for name, param in declared.items():
        if param.required and name not in names:
            message = f'{reference.label}: {target.name} needs the parameter "{name}"'
            hint = f"add it to with: a value of type {param.type}"
            yield file.file, Problem(*reference.with_at, "missing-parameter", message, hint)


def _fault(param: Param, value: Any, zone: str) -> str:
    """Return what is wrong with a value, in the words of a run that is given it."""
    if value is None and not param.required and param.default is None:
        return ""
    try:
        return "; ".join(violations(param, read(param.type, value, zone), zone))
    except ValueError as error:
        return str(error)


def _edges(files: Sequence[Declared]) -> dict[str, list[str]]:
    names = {file.name for file in files}
    return {
        file.name: [one.pipeline for one in file.references if one.pipeline in names]
        for file in files
    }


def _without_end(files: Sequence[Declared]) -> Iterator[Fault]:
    """Report pipelines that run each other, in each file on the way."""
    by_name = {file.name: file for file in files}
    for cycle in cycles(_edges(files)):
        way = ", ".join(f"{a} runs {b}" for a, b in pairwise(cycle))
        for name, following in pairwise(cycle):
            file = by_name[name]
            reference = next(one for one in file.references if one.pipeline == following)
            message, hint = (
                f"a run would start runs endlessly: {way}",
                "remove one of these steps",
            )
            if name == following:
                message = f"{reference.label} runs its own pipeline endlessly"
                hint = "remove the step, or name another pipeline"
            yield file.file, Problem(*reference.at, "pipeline-cycle", message, hint)


def _waiting_for_themselves(
    files: Sequence[Declared], known: Mapping[str, Pipeline | None]
) -> Iterator[Fault]:
    """Report runs that would wait for a place in a group that their parent runs hold."""
    waits = list(_waits(files, known))
    groups: dict[str, list[str]] = {}
    for wait in waits:
        groups.setdefault(wait.held, []).append(wait.wanted)
    for wait in waits:
        if wait.held not in _reach(wait.wanted, groups):
            continue
        why = f"this pipeline's concurrency group {wait.held}, too"
        if wait.wanted != wait.held:
            why = f"the group {wait.wanted}, whose runs wait for some of this one's, {wait.held}"
        message = f"{wait.reference.label}: {wait.name} is in {why}; both could wait forever"
        hint = "use a different group for one of them"
        yield wait.file, Problem(*wait.reference.at, "pipeline-cycle", message, hint)


class _Wait(NamedTuple):
    """A run of a file's pipeline holds one group's place while a run below it wants another's."""

    file: str
    reference: Reference
    name: str
    held: str
    wanted: str


def _waits(files: Sequence[Declared], known: Mapping[str, Pipeline | None]) -> Iterator[_Wait]:
    runs = {file.name: [one.pipeline for one in file.references] for file in files}
    limits = {name: one.concurrency for name, one in known.items() if one and one.concurrency}
    members = Counter(limit.group for limit in limits.values())
    # Alone in its group, a pipeline waits for itself only where the pipelines form a cycle.
    shared = {name: limit for name, limit in limits.items() if members[limit.group] > 1}
    for file in files:
        for reference in file.references if file.name in shared else ():
            for name in _reach(reference.pipeline, runs):
                if name != file.name and name in shared and shared[name].on_conflict == "queue":
                    held, wanted = shared[file.name].group, shared[name].group
                    yield _Wait(file.file, reference, name, held, wanted)


def _reach(start: str, edges: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a node with all that can be reached from it, on whatever way."""
    found: dict[str, None] = {}
    left = [start]
    while left:
        name = left.pop()
        if name not in found:
            found[name] = None
            left += edges.get(name, ())
    return list(found)
