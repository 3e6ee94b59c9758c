"""Checks the SQL of a step for errors that do not depend on its values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.engine.catalog.job_type import JobType
from headrace.engine.explain.step_shapes import StepShapes, of_argument
from headrace.errors import JobFailure, RefusedSql
from headrace.model.pipeline import Step
from headrace.template.checking import Fault, check_sql
from headrace.template.guard import (
    first_word,
    needs_autocommit,
    refuse_transaction_control,
    split_statements,
)
from headrace.template.rendered import RenderedSql, misplaced_bind
from headrace.template.shapes import ANY, NUMBER, TEXT, Shape, as_json, mapping_of, of_param
from headrace.template.skeleton import Skeleton, skeletons

_QUOTES_HINT = "write {{ … }} without quotes: it is bound as a value; for parts of a string use ||"
_SQL_HINT = "docs/reference/templates.md shows what SQL templates may use"


@dataclass(frozen=True, slots=True)
class SqlText:
    """An SQL template, and its file if it has one."""

    text: str
    path: Path | None = None

    @classmethod
    def of_file(cls, job: Any, name: str) -> "SqlText":
        """Return what a file of a pipeline holds.

        Raises:
            HeadraceError: There is none, or it lies where none may be read.
        """
        try:
            source = job.source_of_file(name)
        except (OSError, ValueError) as error:
            raise JobFailure(f"{name} cannot be read: {error}") from None
        return cls(source.text, source.path)


def faults_of_sql(text: SqlText, step: Step, kind: JobType, shapes: StepShapes) -> Iterator[Fault]:
    """Yield what is wrong with a template of a job that binds its values."""
    found = check_sql(text.text, _variables(step, kind, shapes), _hints(step))
    yield from found
    if found:
        return
    told: set[str] = set()
    found_statement = False
    for skeleton in skeletons(text.text):
        found_statement = found_statement or bool(split_statements(skeleton.marked))
        for fault in _refused(skeleton, in_transaction=step.with_.get("transaction") is not False):
            if fault.message not in told:
                told.add(fault.message)
                yield fault
    if not found_statement:
        yield Fault("refused-sql", "it contains no statement", "write one, or remove the step")


def statements_of(step: Step) -> list[RenderedSql]:
    """Return the statements of a step's inline SQL, its values unknown; none where it varies."""
    sql = step.with_.get("sql")
    found = {skeleton.marked for skeleton in skeletons(sql)} if isinstance(sql, str) else set()
    if len(found) != 1:
        return []
    return RenderedSql(found.pop(), {"p1": None}).statements()


def _refused(skeleton: Skeleton, *, in_transaction: bool) -> Iterator[Fault]:
    marked = skeleton.marked
    misplaced = misplaced_bind(marked)
    if misplaced is not None:
        message, offset = misplaced
        yield Fault("refused-sql", message, _QUOTES_HINT, skeleton.line_at(offset))
        return
    end = 0
    for statement in split_statements(marked):
        start = marked.find(statement, end)
        end = start + len(statement)
        line = skeleton.line_at(start)
        try:
            refuse_transaction_control(statement)
        except RefusedSql as error:
            yield Fault("refused-sql", str(error), _SQL_HINT, line)
            continue
        if in_transaction and needs_autocommit(statement):
            message = f"{first_word(statement)} cannot run inside a transaction"
            yield Fault("refused-sql", message, "set transaction: false", line)


def _variables(step: Step, kind: JobType, shapes: StepShapes) -> Mapping[str, Shape]:
    """Return what the SQL of a step sees: the run's parameters and its own, as rows keep them."""
    own = step.with_.get("params")
    params = ANY
    if "params" not in kind.parameters:
        params = mapping_of({}, "params")
    elif own is None or isinstance(own, Mapping):
        members = dict(as_json(shapes.params).members or {})
        seen = shapes.of_step(step)
        for name, value in (own or {}).items():
            members[str(name)] = replace(of_argument(value, seen), name=f"params.{name}")
        params = mapping_of(members, "params")
    logical = of_param({"type": "datetime"})
    return {
        "params": params,
        "logical_date": logical,
        "run": mapping_of(
            {"id": TEXT, "logical_date": logical, "date": of_param({"type": "date"})}, "run"
        ),
        "job": mapping_of({"id": TEXT, "attempt": NUMBER, "step": TEXT}, "job"),
    }


def _hints(step: Step) -> dict[str, str]:
    """Return what to say of names that have a value in the file, and none in its SQL."""
    hints = {
        "steps": 'pass it on: params: {rows: "{{ steps.ID.result.rows }}"}, and {{ params.rows }}'
    }
    if step.foreach is not None:
        name = step.foreach.as_
        hints[name] = f'pass the item on: params: {{{name}: "{{{{ {name} }}}}"}}'
        hints[name] += f", and write {{{{ params.{name} }}}}"
    return hints
