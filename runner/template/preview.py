"""Describes a statement that a job would send, before it has a database."""

from dataclasses import dataclass
from pathlib import Path

from headrace.template.rendered import RenderedSql


@dataclass(frozen=True, slots=True)
class SqlSource:
    """Source of a statement: the template's text, and its file if it has one.

    `line` is the line of the rendered template on which the statement begins, from 1.
    """

    text: str
    path: Path | None = None
    line: int = 1


@dataclass(frozen=True, slots=True)
class Preview:
    """One statement of a job. `note` says when it is sent, or what about it is not known yet.

    `connection` is the database that it is sent to, None for the control database. `explain` is
    what EXPLAIN is given in its place, because it cannot take the statement as it is;
    `unexplained` says why there is nothing for it at all. `source` is None for the templates
    that come with Headrace. `touches` is a query whose rows name what else the statement changes,
    and `touching` the words before those names.
    """

    sql: RenderedSql
    connection: str | None = None
    note: str = ""
    explain: RenderedSql | None = None
    unexplained: str = ""
    source: SqlSource | None = None
    touches: RenderedSql | None = None
    touching: str = "it also changes"
