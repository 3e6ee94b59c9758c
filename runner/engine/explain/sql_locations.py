"""Locates the statements of a pipeline's steps in its files."""

import re
from collections.abc import Sequence
from pathlib import Path

from headrace.declarations.file_places import place_in_text, place_of, place_of_word
from headrace.declarations.lint.sql_warnings import silences
from headrace.declarations.source import Document, KeyPath, Position, read, scan, shown_path
from headrace.errors import Problem
from headrace.model.pipeline import Pipeline
from headrace.model.plan import PlannedJob
from headrace.template import Preview, SqlSource
from headrace.template.syntax import pieces

_KEYS = ("sql", "sql_path", "table", "source_table", "index")

Place = tuple[str, int, int]


class Places:
    """Finds places in a pipeline's file and in the SQL files of its steps."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline.name
        self._file = pipeline.file
        content = read(Path(pipeline.file))
        text = "" if isinstance(content, Problem) else content.decode("utf-8-sig", "replace")
        self._lines = text.splitlines()
        self._document: Document | None = scan(text, pipeline.file)[0]

    def of(self, job: PlannedJob, one: Preview | None, line: int = 0, word: str = "") -> Place:
        """Return the place of a statement, or of a word on one of its lines, from 1."""
        source = one.source if one is not None else None
        step = self._of_step(job)
        if one is None or source is None:
            return self._file, *step
        sent = (one.explain or one.sql).display.splitlines()
        first = line or _first_line(sent)
        written = _written_line(source, source.line + first - 1, sent[first - 1 : first])
        if source.path is not None:
            lines = source.text.splitlines()
            known = written is not None and written <= len(lines)
            place = place_of_word(lines, written or 1, word) if known else Position(1, 1)
            return shown_path(source.path), *place
        if written is None or not self._lines:
            return self._file, *step
        return self._file, *place_in_text(self._lines, step, written, word)

    def silenced(self, job: PlannedJob, problem: Problem) -> bool:
        """Return whether a comment on the line of the problem, or of its step, silences it."""
        lines = {self._step(job).line}
        if problem.file == self._file:
            lines.add(problem.line)
        texts = [self._lines[line - 1] for line in lines if 0 < line <= len(self._lines)]
        return any(silences(text, problem.code) for text in texts)

    def _of_step(self, job: PlannedJob) -> Position:
        key = next((key for key in _KEYS if key in job.payload), None)
        return self._step(job, *(("with", key) if key else ()))

    def _step(self, job: PlannedJob, *rest: str) -> Position:
        name = job.step.partition("[")[0]
        head: KeyPath = ("steps",) if job.handler is None else ("handlers", job.handler)
        if self._document is None:
            return Position(1, 1)
        return place_of(self._document, (*head, name, *rest))


def _first_line(lines: Sequence[str]) -> int:
    """Return the number of the first line that is more than a comment."""
    told = (n for n, line in enumerate(lines, 1) if line.strip() and not _is_comment(line))
    return next(told, 1)


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("--")


def _written_line(source: SqlSource, guess: int, rendered: Sequence[str]) -> int | None:
    """Return the line of the template that a rendered line comes from, None if in doubt.

    Loops and conditions move lines; the line that could have been rendered so counts.
    """
    lines = [_printed(line) for line in source.text.splitlines()]
    if "{%" not in source.text and "{#" not in source.text:
        return guess if guess <= len(lines) else None
    if not rendered:
        return None
    wanted = rendered[0].strip()
    fitting = [n for n, line in enumerate(lines, 1) if _pattern(line).fullmatch(wanted)]
    # A line of expressions alone fits everything: what says more comes first.
    return min(
        fitting,
        key=lambda n: (-len("".join(lines[n - 1]).strip()), abs(n - guess)),
        default=None,
    )


def _printed(line: str) -> list[str]:
    """Return what of a line is printed as it is, split where something else stands."""
    found = pieces(line.strip())
    if not found:
        return [line.strip()]
    parts = [""]
    for start, end, words in found:
        if words is None:
            parts[-1] += line.strip()[start:end]
        else:
            parts.append("")
    return parts


def _pattern(printed: Sequence[str]) -> re.Pattern[str]:
    return re.compile(".*?".join(map(re.escape, printed)))
