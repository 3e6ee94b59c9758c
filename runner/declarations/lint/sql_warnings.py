"""Warnings about SQL that is valid and may not be meant.

sqlglot reads the statements of `sql` and `sql_path`; it takes a third of a second to load, so
nothing here is called when pipelines are loaded to run.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from headrace.declarations.config import Settings
from headrace.declarations.job_knowledge import Catalogue
from headrace.declarations.lint.schedule_warnings import either_day
from headrace.declarations.lint.tables_of_sql import SqlUse, uses_of_sql
from headrace.declarations.lint.text_warnings import warnings_of_texts
from headrace.declarations.source import Document, KeyPath, Position, read, scan
from headrace.errors import HeadraceError, Problem
from headrace.model.pipeline import Pipeline, Step

# Every two steps are compared: beyond this many it would take minutes.
MOST_COMPARED = 1000

_SILENCED = re.compile(r"#\s*headrace:\s*ignore\[([a-z0-9, -]+)\]\s*\S")


@dataclass(frozen=True, slots=True)
class _Checked:
    """A step with its place and what it does to tables."""

    step: Step
    index: int
    use: SqlUse
    above: frozenset[str] = field(default_factory=frozenset)

    def precedes(self, other: "_Checked") -> bool:
        """Return whether the other one starts after this one has ended."""
        return self.step.id in other.above


def lint(pipelines: Iterable[Pipeline], settings: Settings, catalogue: Catalogue) -> list[Problem]:
    """Return the warnings about these valid pipelines, in the order of their places.

    What a job does to tables beside its SQL, its class in the catalogue says.

    A comment `# headrace: ignore[code] why` on the line of a warning, or on the first line of
    its step, silences it; the reason is part of it.
    """
    found: list[Problem] = []
    for pipeline in pipelines:
        # As it was when the pipeline was read from it: an edit meanwhile is the next look's.
        content = pipeline.source or read(Path(pipeline.file))
        if isinstance(content, Problem):
            continue
        document, problems = scan(content, pipeline.file)
        if document is not None and not problems:
            lines = content.decode("utf-8-sig").splitlines()
            found += _of_pipeline(pipeline, document, lines, settings, catalogue)
            found += _unused_templates(document, lines)
            found += (
                one
                for one in either_day(pipeline, document)
                if not silences(lines[one.line - 1], one.code)
            )
            found += _changed_texts(document, lines)
    return sorted(found)


def _of_pipeline(
    pipeline: Pipeline,
    document: Document,
    lines: list[str],
    settings: Settings,
    catalogue: Catalogue,
) -> Iterator[Problem]:
    small = len(pipeline.steps) <= MOST_COMPARED
    above = _above(pipeline.steps) if small else {}
    steps = [
        _Checked(
            step, index, _use(step, pipeline, settings, catalogue), above.get(step.id, frozenset())
        )
        for index, step in enumerate(pipeline.steps)
    ]
    findings = [
        *_without_where(steps),
        *((*_unordered(steps), *_too_early(steps)) if small else ()),
    ]
    told: set[Position] = set()
    for at, code, message, hint in findings:
        start = document.at(("steps", at.index))
        place = _place_of_sql(document, at)
        of_template = _place_in_template(document, at) if code == "no-where" else None
        if of_template is not None and of_template in told:
            continue
        place = of_template or place
        if not any(silences(lines[line - 1], code) for line in (start.line, place.line)):
            told.add(place)
            yield Problem(document.file, *place, code, message, hint, severity="warning")


def _place_of_sql(document: Document, at: _Checked) -> Position:
    key = next((k for k in ("sql", "sql_path", "table") if k in at.step.with_), None)
    return document.at(("steps", at.index, "with", key) if key else ("steps", at.index))


def _place_in_template(document: Document, at: _Checked) -> Position | None:
    """Return where the SQL of a step stands in a template of its file, if it does."""
    name = document.data["steps"][at.index].get("template")
    body = document.data.get("templates", {}).get(name, {}).get("step", {}).get("with", {})
    key = next((k for k in ("sql", "sql_path") if k in body), None)
    return document.at(("templates", name, "step", "with", key)) if key else None


def _unused_templates(document: Document, lines: list[str]) -> Iterator[Problem]:
    """Yield the step templates of the file that none of its steps uses."""
    data = document.data
    handlers = data.get("handlers", {}).values()
    used = {step.get("template") for listed in (data["steps"], *handlers) for step in listed}
    for name in data.get("templates", {}):
        place = document.at(("templates", name), key=True)
        if name not in used and not silences(lines[place.line - 1], "unused-template"):
            message = f'no step uses the template "{name}"'
            hint = "remove it, or move it to a _defaults.yaml for other pipelines"
            yield Problem(
                document.file, *place, "unused-template", message, hint, severity="warning"
            )


def _changed_texts(document: Document, lines: list[str]) -> Iterator[Problem]:
    steps = _first_lines_of_steps(document)
    keys = {place.line for place in (document.root.keys or {}).values()}
    for problem in warnings_of_texts(document):
        places = {problem.line}
        # What begins last above it: its step, or another key of the file, such as `templates`.
        begins = max(line for line in keys | steps if line <= problem.line)
        if begins in steps:
            places.add(begins)
        if not any(silences(lines[line - 1], problem.code) for line in places):
            yield problem


def _first_lines_of_steps(document: Document) -> set[int]:
    data = document.data
    paths: list[KeyPath] = [("steps", index) for index in range(len(data["steps"]))]
    for name, listed in data.get("handlers", {}).items():
        paths += [("handlers", name, index) for index in range(len(listed))]
    return {document.at(path).line for path in paths}


def silences(line: str, code: str) -> bool:
    """Return whether a line of a file has a comment that silences a code, with its reason."""
    found = _SILENCED.search(line)
    return found is not None and code in [part.strip() for part in found[1].split(",")]


_Warning = tuple[_Checked, str, str, str]


def _without_where(steps: list[_Checked]) -> Iterator[_Warning]:
    for one in steps:
        for word, table in one.use.unbounded:
            message = f'step "{one.step.id}": {word} without WHERE changes every row of {table}'
            hint = "add a WHERE; to empty the table, TruncateTable is faster"
            yield one, "no-where", message, hint


def _unordered(steps: list[_Checked]) -> Iterator[_Warning]:
    for first, second in combinations(steps, 2):
        if first.precedes(second) or second.precedes(first):
            continue
        for table in sorted(first.use.writes & second.use.writes):
            message = (
                f'steps "{first.step.id}" and "{second.step.id}" both write {table},'
                " in undefined order"
            )
            hint = f"order them: depends_on: [{first.step.id}]"
            yield second, "parallel-write", message, hint
        for reader, writer in ((first, second), (second, first)):
            for table in sorted((reader.use.reads & writer.use.writes) - reader.use.writes):
                message = (
                    f'step "{reader.step.id}" reads {table}, which step "{writer.step.id}" writes'
                    " before, meanwhile or after"
                )
                hint = f"order them: depends_on: [{writer.step.id}]"
                yield reader, "unordered-read", message, hint


def _too_early(steps: list[_Checked]) -> Iterator[_Warning]:
    """Report tables that are read before the first step that fills them."""
    by_id = {one.step.id: one for one in steps}
    makers: dict[str, list[_Checked]] = {}
    for one in steps:
        for table in one.use.makes:
            makers.setdefault(table, []).append(one)
    for reader in steps:
        # What a step fills itself, or one before it, is there when it reads.
        there = reader.use.writes.union(*(by_id[name].use.writes for name in reader.above))
        for table in sorted(reader.use.reads - there):
            late = [one for one in makers.get(table, ()) if reader.precedes(one)]
            if late:
                message = (
                    f'step "{reader.step.id}" reads {table}, which only the later step'
                    f' "{late[0].step.id}" fills: it reads what the previous run left'
                )
                hint = "change their order, or say why: # headrace: ignore[read-before-write] …"
                yield reader, "read-before-write", message, hint


def _use(step: Step, pipeline: Pipeline, settings: Settings, catalogue: Catalogue) -> SqlUse:
    if step.pipeline is not None:
        return SqlUse()
    use = SqlUse()
    sql = step.with_.get("sql")
    path = step.with_.get("sql_path")
    if isinstance(sql, str):
        use = use.also(uses_of_sql(sql))
    elif isinstance(path, str):
        try:
            found = replace(settings.folders(), own=Path(pipeline.folder)).find_sql(path)
        except HeadraceError:
            found = None
        content = read(found) if found is not None else None
        if isinstance(content, bytes):
            use = use.also(uses_of_sql(content.decode("utf-8", "replace")))
    # One database's table is not another one's: only the control database's are compared.
    if step.with_.get("connection") is not None:
        use = SqlUse(unbounded=use.unbounded)
    return use.also(catalogue.tables(step.job, step.with_, None))


def _above(steps: Iterable[Step]) -> dict[str, frozenset[str]]:
    needs = {step.id: step.depends_on for step in steps}
    above: dict[str, frozenset[str]] = {}
    for start, direct in needs.items():
        reached: set[str] = set()
        left = list(direct)
        while left:
            name = left.pop()
            if name in above:
                reached |= {name, *above[name]}
            elif name not in reached:
                reached.add(name)
                left += needs[name]
        above[start] = frozenset(reached)
    return above
