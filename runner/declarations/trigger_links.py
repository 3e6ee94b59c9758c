"""Checks triggers across files: the pipelines that they name exist and form no cycle.

One look after all files are read. It costs a few look-ups a reference, so that a daemon may
take it after every edit.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol

from headrace.declarations.across_files import Fault
from headrace.declarations.across_files import Reference as StepReference
from headrace.declarations.rules.cycles import cycles, together
from headrace.declarations.source import Position
from headrace.errors import Problem
from headrace.errors.suggestions import did_you_mean
from headrace.model.pipeline import Pipeline


class Reference(NamedTuple):
    """A place where a file names another pipeline, as the `trigger` of its own."""

    pipeline: str
    at: Position


class UpstreamParam(NamedTuple):
    """A place where a template reads a parameter of another pipeline's run."""

    pipeline: str
    param: str
    at: Position


@dataclass(frozen=True, slots=True)
class Links:
    """References of one file to others."""

    triggers: tuple[Reference, ...] = ()
    params: tuple[UpstreamParam, ...] = ()


class Linked(Protocol):
    """One file that was read. Its name is None where it could not be read so far."""

    @property
    def file(self) -> str: ...  # noqa: D102 - the class says it
    @property
    def name(self) -> str | None: ...  # noqa: D102
    @property
    def pipeline(self) -> Pipeline | None: ...  # noqa: D102
    @property
    def links(self) -> Links: ...  # noqa: D102
    @property
    def references(self) -> tuple[StepReference, ...]: ...  # noqa: D102


@dataclass
class _Names:
    """The known names, and the suggestions for unknown ones."""

    known: Collection[str]
    guesses: dict[str, str] = field(default_factory=dict)

    def guess(self, name: str, own: str | None) -> str:
        if name not in self.guesses:
            others = sorted(known for known in self.known if known != own)
            self.guesses[name] = (
                did_you_mean(name, others, listed_as="there are") or "there is no other pipeline"
            )
        return self.guesses[name]


def names_unknown(files: Iterable[Linked]) -> bool:
    """Return whether one of the files names a pipeline that none of them is."""
    files = list(files)
    known = {one.name for one in files}
    named = {link.pipeline for one in files for link in one.links.triggers}
    named |= {step.pipeline for one in files for step in one.references}
    return not named <= known


def across_triggers(
    files: Iterable[Linked],
    beside: Iterable[Linked] = (),
    kept: Mapping[str, Pipeline] | None = None,
) -> Iterator[Fault]:
    """Yield what is wrong in `files` as others see it, each with the file that it is wrong in.

    `beside` are files that are not looked at themselves, but may be named. `kept` are
    pipelines that stay active, by name, although their files are broken by now.
    """
    files, kept = list(files), kept or {}
    everyone = [*files, *beside]
    staying = any(one.trigger is not None for one in kept.values())
    if not staying and not any(one.links.triggers for one in everyone):
        return
    yield from _unknown(files, everyone, kept)
    yield from _unknown_params(files, everyone)
    yield from _circles(files, everyone, kept)


def _unknown(
    files: Sequence[Linked], everyone: Sequence[Linked], kept: Mapping[str, Pipeline]
) -> Iterator[Fault]:
    known = {one.name for one in everyone if one.name is not None} | kept.keys()
    # A file that cannot be read so far that its name shows is most often called like it.
    likely = {Path(one.file).stem for one in everyone if one.name is None}
    names = _Names(known)
    for one in files:
        for name, at in one.links.triggers:
            if name not in known and name not in likely:
                message = f'the trigger names an unknown pipeline "{name}"'
                hint = names.guess(name, one.name)
                yield one.file, Problem(one.file, *at, "unknown-pipeline", message, hint)


def _unknown_params(files: Sequence[Linked], everyone: Sequence[Linked]) -> Iterator[Fault]:
    """Yield parameters that an upstream pipeline does not declare, as far as it can be read."""
    valid: dict[str | None, Pipeline | None] = {}
    for one in everyone:
        # A name that two files use is checked elsewhere; which of them is meant nobody knows.
        valid[one.name] = None if one.name in valid else one.pipeline
    for one in files:
        for upstream, param, at in one.links.params:
            pipeline = valid.get(upstream)
            if pipeline is None:
                continue
            declared = [known.name for known in pipeline.params]
            if param not in declared:
                hint = did_you_mean(param, declared, listed_as="it declares")
                message = f'pipeline "{upstream}" has no parameter "{param}"'
                hint = hint or "it declares none"
                yield one.file, Problem(one.file, *at, "unknown-param", message, hint)


@dataclass
class _Starts:
    """Return which pipeline starts which: by a trigger, or by a step that runs it."""

    needs: dict[str, list[str]] = field(default_factory=dict)
    triggers: set[tuple[str, str]] = field(default_factory=set)

    def by_trigger(self, name: str | None, upstream: str) -> None:
        if name is not None and name != upstream:
            self.triggers.add((name, upstream))
            self._add(name, upstream)

    def by_step(self, name: str | None, child: str) -> None:
        if name is not None and name != child:
            self._add(child, name)

    def _add(self, name: str, starter: str) -> None:
        self.needs.setdefault(name, []).append(starter)
        self.needs.setdefault(starter, [])

    def groups(self) -> Iterator[set[str]]:
        """Yield those that start each other, a trigger among them: `across` has the others."""
        for group in map(set, together(self.needs)):
            if any(name in group and other in group for name, other in self.triggers):
                yield group

    def told(self, group: set[str]) -> str:
        """Return a way round a group in words."""
        inside = {
            name: [other for other in others if other in group]
            for name, others in self.needs.items()
            if name in group
        }
        return ", ".join(
            f"{name} after {other}" if (name, other) in self.triggers else f"{other} runs {name}"
            for name, other in pairwise(next(cycles(inside)))
        )


def _starts(everyone: Iterable[Linked], kept: Mapping[str, Pipeline]) -> _Starts:
    starts = _Starts()
    for one in everyone:
        for name, _at in one.links.triggers:
            starts.by_trigger(one.name, name)
        for reference in one.references:
            starts.by_step(one.name, reference.pipeline)
    for pipeline in kept.values():
        for name in pipeline.trigger.pipelines if pipeline.trigger else ():
            starts.by_trigger(pipeline.name, name)
        for step in (*pipeline.steps, *pipeline.handlers):
            if step.pipeline is not None:
                starts.by_step(pipeline.name, step.pipeline)
    return starts


def _circles(
    files: Sequence[Linked], everyone: Sequence[Linked], kept: Mapping[str, Pipeline]
) -> Iterator[Fault]:
    """Yield each place that has pipelines start each other for ever, in every file of a circle."""
    starts = _starts(everyone, kept)
    for group in starts.groups():
        message = f"the pipelines start each other in a cycle: {starts.told(group)}"
        hint = "remove one of these triggers or steps"
        for one in files:
            if one.name not in group:
                continue
            for name, at in one.links.triggers:
                if name in group and name != one.name:
                    yield one.file, Problem(one.file, *at, "pipeline-cycle", message, hint)
            for reference in one.references:
                if reference.pipeline in group and reference.pipeline != one.name:
                    yield one.file, Problem(*reference.at, "pipeline-cycle", message, hint)
