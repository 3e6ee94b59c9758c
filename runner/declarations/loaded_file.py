"""Results of reading pipeline files: of one by itself, and of all together."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.declarations.across_files import Reference
from headrace.declarations.calendar_files import Stamp
from headrace.declarations.source import Position
from headrace.declarations.trigger_links import Links
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The valid pipelines by name, and all problems in the order of their places."""

    pipelines: dict[str, Pipeline]
    problems: list[Problem]


@dataclass(frozen=True, slots=True)
class LoadedFile:
    """One file: its pipeline if it is valid, and the name it claims even if it is not.

    `outer` are problems of the _defaults.yaml that hold for it and of its calendars' files; they
    make it invalid, too. `looked_at` are the other files that it was read with.
    `references` and `links` are what it says about other pipelines, which `combine` checks.
    """

    file: str
    name: str | None = None
    name_at: Position = field(default=Position(1, 1))
    pipeline: Pipeline | None = None
    problems: list[Problem] = field(default_factory=list)
    outer: tuple[Problem, ...] = ()
    looked_at: Mapping[str, Stamp] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    links: Links = field(default=Links())
