"""A pipeline file as it was written, seen by the rules.

Rules run on files that break the schema, too, so that all problems are reported at once. The
draft therefore hands out only what has the right type.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from headrace.declarations.config import Settings
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.source import KeyPath
from headrace.declarations.template_references import scalars

R = TypeVar("R")

# What handlers are for, in the order in which they run.
HANDLERS = ("success", "failure", "finally")


class Finding(NamedTuple):
    """One broken rule. `of_key`: the place is the key's, not its value's.

    `line` counts the lines of a text, from 1; 0 means the text as a whole. `word` is the part
    of the line that is meant.
    """

    path: KeyPath
    code: str
    message: str
    hint: str = ""
    of_key: bool = False
    line: int = 0
    word: str = ""


@dataclass(frozen=True, slots=True)
class DraftStep:
    """One item of `steps`, or of a list of handlers, that is a mapping."""

    path: KeyPath
    data: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        """The step's id, if it has one."""
        return self.text("id")

    @property
    def label(self) -> str:
        """Return the step as messages name it."""
        noun = "handler" if self.is_handler else "step"
        return f'{noun} "{self.id}"' if self.id is not None else f"{noun} {int(self.path[-1]) + 1}"

    @property
    def is_handler(self) -> bool:
        """Return whether the step runs after those of `steps`."""
        return self.path[0] == "handlers"

    def text(self, key: str) -> str | None:
        """Return the text at a key, or None."""
        value = self.data.get(key)
        return value if isinstance(value, str) else None

    @property
    def with_(self) -> Mapping[str, Any]:
        """The arguments of the job."""
        value = self.data.get("with")
        return value if isinstance(value, dict) else {}

    @property
    def env(self) -> Mapping[str, Any]:
        """The environment variables of the job."""
        value = self.data.get("env")
        return value if isinstance(value, dict) else {}

    def dependencies(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the ids in `depends_on` with their paths."""
        listed = self.data.get("depends_on")
        for index, name in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(name, str):
                yield (*self.path, "depends_on", index), name

    @property
    def starts_at_once(self) -> bool:
        """Return whether it waits for no step, whatever it depends on."""
        return self.data.get("trigger_rule") == "always"


class Draft:
    """One file's content with what it is checked against.

    `folder` is where its relative paths begin; without one, files are not looked for.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        catalogue: Catalogue,
        settings: Settings,
        folder: Path | None = None,
    ) -> None:
        self.data = data
        self.catalogue = catalogue
        self.settings = settings
        self.folder = folder
        self.steps = _steps(data.get("steps"), ("steps",))
        self.ids = [step.id for step in self.steps if step.id is not None]
        handlers = self.mapping("handlers")
        self.handlers = [
            step for name in HANDLERS for step in _steps(handlers.get(name), ("handlers", name))
        ]
        self.all_steps = [*self.steps, *self.handlers]
        self._found: dict[Callable[[Draft], Any], Any] = {}

    def once(self, find: "Callable[[Draft], R]") -> R:
        """Return what a function finds in this draft, found once for all rules."""
        if find not in self._found:
            self._found[find] = find(self)
        found: R = self._found[find]
        return found

    def mapping(self, key: str) -> Mapping[str, Any]:
        """Return the mapping at a top-level key, or an empty one."""
        value = self.data.get(key)
        return value if isinstance(value, dict) else {}

    def schedules(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield each schedule as a mapping, with its path."""
        given = self.data.get("schedule")
        listed: list[tuple[KeyPath, Any]] = [(("schedule",), given)]
        if isinstance(given, list):
            listed = [(("schedule", index), item) for index, item in enumerate(given)]
        for path, item in listed:
            if isinstance(item, dict):
                yield path, item

    def calendars(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield each schedule's calendar that is a mapping, with its path."""
        for path, schedule in self.schedules():
            calendar = schedule.get("calendar")
            if isinstance(calendar, dict):
                yield (*path, "calendar"), calendar

    def calendar_files(self) -> list[str]:
        """Return the names of the calendars' files, each once."""
        names = [calendar.get("file") for _, calendar in self.calendars()]
        return list(dict.fromkeys(name for name in names if isinstance(name, str) and name))

    def trigger(self) -> Mapping[str, Any]:
        """Return the trigger as a mapping, an empty one where there is none."""
        given = self.data.get("trigger")
        return {"pipelines": [given]} if isinstance(given, str) else self.mapping("trigger")

    def triggering(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield the pipelines whose runs start one of this, each with its path."""
        if isinstance(self.data.get("trigger"), str):
            yield ("trigger",), self.data["trigger"]
            return
        listed = self.trigger().get("pipelines")
        for index, name in enumerate(listed if isinstance(listed, list) else ()):
            if isinstance(name, str):
                yield ("trigger", "pipelines", index), name

    def crons(self) -> Iterator[tuple[KeyPath, str]]:
        """Yield every cron expression with its path."""
        given = self.data.get("schedule")
        for index, item in enumerate(given if isinstance(given, list) else ()):
            if isinstance(item, str):
                yield ("schedule", index), item
        if isinstance(given, str):
            yield ("schedule",), given
        for path, schedule in self.schedules():
            if isinstance(schedule.get("cron"), str):
                yield (*path, "cron"), schedule["cron"]

    def values(self) -> Iterator[tuple[KeyPath, object]]:
        """Yield the scalars that are handed to jobs, with their paths."""
        for name, param in self.mapping("params").items():
            if isinstance(param, dict):
                yield from scalars(param.get("default"), ("params", name, "default"))
        yield from scalars(self.mapping("defaults").get("env"), ("defaults", "env"))
        for step in self.all_steps:
            yield from scalars(step.with_, (*step.path, "with"))
            yield from scalars(step.env, (*step.path, "env"))
            foreach = step.data.get("foreach")
            if isinstance(foreach, dict):
                yield from scalars(foreach.get("items"), (*step.path, "foreach", "items"))

    def durations(self) -> Iterator[tuple[KeyPath, Any, bool]]:
        """Yield (path, value, may it be zero) for every key that takes a duration."""
        for path, schedule in self.schedules():
            for key in ("interval", "catchup_window", "start_deadline"):
                yield (*path, key), schedule.get(key), False
            yield (*path, "jitter"), schedule.get("jitter"), True
        yield ("trigger", "window"), self.trigger().get("window"), False
        for path, holder in self._holders():
            yield (*path, "timeout"), holder.get("timeout"), False
        for path, holder in self._expecting():
            for key in ("deadline", "expected_duration"):
                yield (*path, key), holder.get(key), False
        for path, retry in self.retries():
            for key in ("delay", "max_delay"):
                yield (*path, key), retry.get(key), True

    def retries(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield each `retry` that is a mapping, with its path."""
        for path, holder in self._holders():
            retry = holder.get("retry")
            if isinstance(retry, dict):
                yield (*path, "retry"), retry

    def variables(self) -> Iterator[tuple[KeyPath, str, object]]:
        """Yield each environment variable that jobs get: its path, its name and its value."""
        for path, holder in self._holders():
            env = holder.get("env")
            for name, value in env.items() if isinstance(env, dict) else ():
                yield (*path, "env", name), str(name), value

    def notifies(self) -> Iterator[tuple[KeyPath, Any]]:
        """Yield each `notify` with its path: that of the file, or of a folder's defaults."""
        yield ("notify",), self.data.get("notify")
        yield ("defaults", "notify"), self.mapping("defaults").get("notify")

    def _expecting(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield what says when a run or step is late."""
        yield (), self.data
        yield ("defaults",), self.mapping("defaults")
        for step in self.all_steps:
            yield step.path, step.data

    def _holders(self) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
        """Yield what says how jobs run: the defaults, and each step."""
        yield ("defaults",), self.mapping("defaults")
        for step in self.all_steps:
            yield step.path, step.data


def _steps(listed: Any, path: KeyPath) -> list[DraftStep]:
    return [
        DraftStep((*path, index), step)
        for index, step in enumerate(listed if isinstance(listed, list) else ())
        if isinstance(step, dict)
    ]
