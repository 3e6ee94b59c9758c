"""Goes through what a run would do with each step of a pipeline, as far as the files decide it.

Whatever needs no database is done as a run does it: values are rendered with the parameters'
defaults, jobs are made, their SQL is read. So what a run would refuse is found by `validate`,
in the same words. A value that only a run knows is left alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from headrace.declarations.config import Settings
from headrace.declarations.file_places import place_of, place_of_finding, place_of_word, written_at
from headrace.declarations.source import Document, KeyPath, parse, shown_path
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_type import JobType
from headrace.engine.catalog.type_hints import judges_value
from headrace.engine.explain.connection_faults import faults_of_connections
from headrace.engine.explain.given_params import faults_of_given
from headrace.engine.explain.known_values import Known, Rendered
from headrace.engine.explain.null_params import faults_of_null, told_of_null
from headrace.engine.explain.sql_check import SqlText, faults_of_sql, statements_of
from headrace.engine.explain.sql_preview import NoDatabase, entered
from headrace.engine.explain.step_shapes import StepShapes
from headrace.engine.explain.unknown_value import Touched, is_untouchable
from headrace.errors import HeadraceError, InvalidPayload, Problem
from headrace.model.pipeline import Pipeline, Step
from headrace.template.braces import has_template

_HINT = "`headrace jobs --types` shows what each job takes"
_CODES = {
    "invalid-with": "refused-value",
    "template": "bad-template",
    "job-failure": "refused-value",
    "invalid-params": "bad-default",
}
# Beyond these an item is like those before it.
_MOST_ITEMS = 20


def rehearse(
    pipelines: Iterable[Pipeline],
    settings: Settings,
    registry: Registry,
    others: Mapping[str, Pipeline] | None = None,
) -> list[Problem]:
    """Return what runs of these valid pipelines would be refused for.

    `others` are all that are known, by name: their steps may run one of them.
    """
    found: dict[Problem, None] = {}
    for pipeline in pipelines:
        one = _Rehearsal(pipeline, settings, registry, others or {})
        found |= dict.fromkeys(one.problems())
    return sorted(found)


class _Rehearsal:
    """One pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Settings,
        registry: Registry,
        others: Mapping[str, Pipeline],
    ) -> None:
        self._others = others
        self._pipeline = pipeline
        self._settings = settings
        self._registry = registry
        self._shapes = StepShapes(pipeline, registry)
        given = frozenset(_given(pipeline, others.values()))
        self._known = Known(pipeline, registry, self._shapes, datetime.now(UTC), given)

    def problems(self) -> Iterator[Problem]:
        if self._known.fault is not None:
            yield self._problem(("params",), self._known.fault)
        for step in (*self._pipeline.steps, *self._pipeline.handlers):
            of_null = list(self._of_null(step))
            yield from of_null
            if of_null:
                continue
            if step.pipeline is None:
                yield from self._of_step(step)
            elif step.pipeline in self._others:
                yield from self._of_pipeline(step, self._others[step.pipeline])

    def _of_null(self, step: Step) -> Iterator[Problem]:
        for path, fault in faults_of_null(self._pipeline, step, self._shapes, self._known):
            at = written_at(self._document.data, self._path(step, *path))
            place = place_of_finding(self._document, at, line=fault.line, word=fault.word)
            message = f"{_label(step)}: {fault.message}"
            yield Problem(self._document.file, *place, fault.code, message, fault.hint)

    def _of_pipeline(self, step: Step, target: Pipeline) -> Iterator[Problem]:
        samples = dict(self._known.samples(step))
        for one in islice(self._known.jobs(step), _MOST_ITEMS):
            if one.fault is not None:
                yield self._problem(self._path(step, *one.fault[0]), one.fault[1], step)
                return
            for name, fault in faults_of_given(target, one.payload, samples):
                message = f'the parameter "{name}" of {target.name} {fault}'
                hint = f"see `params` of {target.file}"
                yield self._told(step, (name,), "wrong-type", message, hint)

    def _of_step(self, step: Step) -> Iterator[Problem]:
        kind = self._registry.get(step.job)
        with entered(self._pipeline, step.id, self._settings):
            yield from self._wrong_types(step, kind)
            told = list(self._of_sql(step, kind))
            yield from told
            for one in islice(self._known.jobs(step), _MOST_ITEMS):
                problems = list(self._of_job(step, kind, one, sql=not told))
                yield from problems
                if problems:
                    return

    def _wrong_types(self, step: Step, kind: JobType) -> Iterator[Problem]:
        """Look at values whose type the parameters' declarations tell."""
        samples = dict(self._known.samples(step))
        for keys, code, message, hint in self._registry.check(step.job, samples):
            if code == "wrong-type":
                type_ = kind.parameters[str(keys[0])].type
                # Which text it will be, say, is not known.
                if not judges_value(type_, samples[str(keys[0])]):
                    yield self._told(step, keys, code, message, hint or _HINT)

    def _of_sql(self, step: Step, kind: JobType) -> Iterator[Problem]:
        """Look at the SQL of a step before any value is put in."""
        if not getattr(kind.cls, "binds_sql", False):
            return
        sql, path = step.with_.get("sql"), step.with_.get("sql_path")
        if isinstance(sql, str):
            text = SqlText(sql)
            key = "sql"
        elif isinstance(path, str) and not has_template(path):
            key = "sql_path"
            try:
                text = SqlText.of_file(kind.cls, path)
            except HeadraceError as error:
                yield self._problem(self._path(step, key), error, step)
                return
        else:
            return
        for code, message, hint, line, word in faults_of_sql(text, step, kind, self._shapes):
            at = self._place_in_sql(step, key, text, line, word)
            yield Problem(*at, code, f"{_label(step)}: {message}", hint or _HINT)

    def _place_in_sql(
        self, step: Step, key: str, text: SqlText, line: int, word: str
    ) -> tuple[str, int, int]:
        if text.path is not None:
            lines = text.text.splitlines() or [""]
            return shown_path(text.path), *place_of_word(lines, min(line, len(lines)), word)
        at = written_at(self._document.data, self._path(step, key))
        return self._document.file, *place_of_finding(self._document, at, line=line, word=word)

    def _of_job(self, step: Step, kind: JobType, one: Rendered, *, sql: bool) -> Iterator[Problem]:
        """Make a job, and have it tell its statements, where all that it needs is known."""
        if one.fault is not None:
            yield self._refused(step, *one.fault)
            return
        yield from self._of_paths(step, kind, one.payload)
        yield from self._of_connections(step, kind, one.payload)
        job, refused = self._made(step, one)
        if refused is not None:
            yield self._refused(step, self._argument(one.payload, refused), refused)
        elif job is not None and sql:
            yield from self._statements(step, job, one)

    def _made(self, step: Step, one: Rendered) -> tuple[Any | None, HeadraceError | None]:
        """Return the job, or what it is refused for; neither where that is not known yet."""
        try:
            if one.complete:
                return self._registry.make(step.job, one.payload), None
            return self._registry.make_of_known(step.job, one.payload, is_untouchable), None
        except InvalidPayload as error:
            return None, error
        except Touched:
            return None, None
        except Exception as error:  # noqa: BLE001 - a user's class may raise anything
            told = error if isinstance(error, HeadraceError) else None
            told = told or HeadraceError(f"{type(error).__name__}: {error}")
            return None, told if one.complete else None

    def _refused(self, step: Step, at: KeyPath, refused: HeadraceError) -> Problem:
        """Return what a step is refused for; with the remedy where that is a parameter's null."""
        found = self._problem(self._path(step, *at), refused, step)
        of_null = told_of_null(_value_at(step, at), self._known)
        if of_null is None:
            return found
        return replace(found, message=f"{found.message} ({of_null[0]})", hint=of_null[1])

    def _statements(self, step: Step, job: Any, one: Rendered) -> Iterator[Problem]:
        try:
            if one.complete:
                job.rehearse()
            else:
                job.refuse_statements(statements_of(step))
        except (NoDatabase, Touched):
            return
        except HeadraceError as error:
            at = self._argument(one.payload, error)
            yield self._problem(self._path(step, *at), error, step)
        except Exception:  # noqa: BLE001 - what a user's preview stumbles over, a run may not
            return

    def _of_paths(self, step: Step, kind: JobType, payload: Mapping[str, Any]) -> Iterator[Problem]:
        for key, check in getattr(kind.cls, "paths", {}).items():
            value = payload.get(key)
            if isinstance(value, str):
                try:
                    check(value)
                except HeadraceError as error:
                    yield self._problem(self._path(step, key), error, step)

    def _of_connections(
        self, step: Step, kind: JobType, payload: Mapping[str, Any]
    ) -> Iterator[Problem]:
        for key, code, message, hint in faults_of_connections(kind, payload, self._settings):
            yield self._told(step, (key,), code, message, hint)

    @cached_property
    def _document(self) -> Document:
        """The file again, which is read only where something in it is to be named."""
        content = self._pipeline.source or Path(self._pipeline.file).read_bytes()
        return parse(content, self._pipeline.file)

    # -- places --------------------------------------------------------------------------

    def _argument(self, payload: Mapping[str, Any], error: Exception) -> KeyPath:
        """Return the argument that an error names, or that of its SQL."""
        said = str(error)
        named = [
            key
            for key in payload
            if f" {key} " in f" {said} " or f"{key!r}" in said or f'parameter "{key}"' in said
        ]
        quoted = [
            key for key, value in payload.items() if isinstance(value, str) and f"{value!r}" in said
        ]
        of_sql = [key for key in ("sql", "sql_path") if key in payload and error_of_sql(said, key)]
        key = next(iter([*of_sql, *quoted, *named]), None)
        return (key,) if key else ()

    def _path(self, step: Step, *keys: str | int) -> KeyPath:
        head: KeyPath = ("steps",) if step.handler is None else ("handlers", step.handler)
        rest = keys if keys and keys[0] in ("env", "foreach", "when") else ("with", *keys)
        return (*head, step.id, *rest)

    def _told(self, step: Step, keys: KeyPath, code: str, message: str, hint: str) -> Problem:
        place = place_of(self._document, self._path(step, *keys))
        return Problem(self._document.file, *place, code, f"{_label(step)}: {message}", hint)

    def _problem(self, path: KeyPath, error: HeadraceError, step: Step | None = None) -> Problem:
        place = place_of(self._document, path)
        label = f"{_label(step)}: " if step is not None else ""
        code = _CODES.get(error.code, error.code if error.code != "error" else "refused-value")
        return Problem(self._document.file, *place, code, f"{label}{error}", _HINT)


def error_of_sql(said: str, key: str) -> bool:
    """Return whether an error's text begins with the place of a statement."""
    return said.startswith(("sql:", "sql ")) if key == "sql" else ".sql" in said


def _given(pipeline: Pipeline, others: Iterable[Pipeline]) -> Iterator[str]:
    """Yield the parameters that a trigger, or a step of another pipeline, gives its runs."""
    if all(param.required or param.default is not None for param in pipeline.params):
        return
    if pipeline.trigger is not None:
        yield from pipeline.trigger.with_
    for other in others:
        for step in (*other.steps, *other.handlers):
            if step.pipeline == pipeline.name:
                yield from step.with_


def _value_at(step: Step, at: KeyPath) -> Any:
    if at[:1] == ("foreach",):
        return step.foreach.items if step.foreach is not None else None
    if at[:1] == ("env",):
        return step.env.get(str(at[1]))
    return step.with_.get(str(at[0])) if at else None


def _label(step: Step) -> str:
    return f'{"step" if step.handler is None else "handler"} "{step.id}"'
