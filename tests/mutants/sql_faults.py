"""Lists the faults that can be made in named statements and in the templates of jobs.

PostgreSQL's own parser refuses a named statement that is no SQL any more. Templates are not parsed;
a fault that makes no sense in one is noticed by the first test, and easy to notice.
"""

import re
from collections.abc import Iterator

import pglast

from tests.mutants.faults import Fault

_STATUSES = ("queued", "started", "completed", "failed", "cancelled", "skipped", "waiting")
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*|\{#.*?#\}", re.DOTALL)
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")
_Changed = tuple[str, str, str]
# What is looked for, what stands there instead, and what the change is called.
_CHANGES: tuple[_Changed, ...] = (
    (r"(?<![<>=!:|])=(?![=>])", "<>", "comparison"),
    (r"<>", "=", "comparison"),
    (r"(?<![<=>-])<(?![<=>@-])", "<=", "comparison"),
    (r"<=(?!>)", "<", "comparison"),
    (r"(?<![<=>@-])>(?![>=])", ">=", "comparison"),
    (r">=", ">", "comparison"),
    (r"\bIS NULL\b", "IS NOT NULL", "comparison"),
    (r"\bIS NOT NULL\b", "IS NULL", "comparison"),
    (r"\bIS DISTINCT FROM\b", "IS NOT DISTINCT FROM", "comparison"),
    (r"\bIS NOT DISTINCT FROM\b", "IS DISTINCT FROM", "comparison"),
    (r"(?<!NOT )\bIN \(", "NOT IN (", "comparison"),
    (r"\bNOT IN \(", "IN (", "comparison"),
    (r"\bAND\b", "OR", "and/or"),
    (r"\bOR\b(?! REPLACE)", "AND", "and/or"),
    (r"\bNOT (?!NULL|DISTINCT|IN\b|MATERIALIZED|EXISTS \(SELECT)", "", "not dropped"),
    (r"\bNOT (?=EXISTS)", "", "not dropped"),
    (r"^ *(?:AND|OR) [^\n]*$", "", "predicate dropped"),
    (r"(?<=WHERE )[^\n]+$", "true", "predicate dropped"),
    (r"\s+FOR (?:NO KEY )?UPDATE(?: OF \w+)?(?: SKIP LOCKED)?", "", "lock dropped"),
    (r"\s+FOR (?:KEY )?SHARE(?: OF \w+)?", "", "lock dropped"),
    (r" SKIP LOCKED\b", "", "lock dropped"),
    (r"\s+ORDER BY [^\n);]+", "", "order dropped"),
    (r"\bDESC\b", "ASC", "order turned"),
    (r"\bDISTINCT (?!FROM|ON)", "", "distinct dropped"),
    (r"\bLEFT JOIN\b", "JOIN", "join"),
    (r"\btrue\b", "false", "constant"),
    (r"\bfalse\b", "true", "constant"),
    (r"\bgreatest\b", "least", "function"),
    (r"\bleast\b", "greatest", "function"),
    (r"\bmin\(", "max(", "function"),
    (r"\bmax\(", "min(", "function"),
    (r"(?<![\w$.:'%])0(?![\w.'])", "1", "constant"),
    (r"(?<![\w$.:'%])1(?![\w.'])", "2", "constant"),
    *(
        (rf"'{one}'", f"'{two}'", "status changed")
        for one, two in zip(_STATUSES, (*_STATUSES[1:], _STATUSES[0]), strict=True)
    ),
)
_COMPILED = tuple((re.compile(old, re.MULTILINE), new, name) for old, new, name in _CHANGES)


class SqlFaults:
    """The faults of one file: of a template as a whole, or of each named statement."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        # Comments become blanks, so that places stay.
        self._plain = _COMMENT.sub(_blank, text)

    def __iter__(self) -> Iterator[Fault]:
        starts = [match.start() for match in _NAME.finditer(self._text)] or [0]
        for start, end in zip(starts, [*starts[1:], len(self._text)], strict=True):
            mark = self._text.count("\n", 0, start) + 1
            for pattern, new, operator in _COMPILED:
                for match in pattern.finditer(self._plain, start, end):
                    if match[0].strip() and self._sensible(match, new):
                        yield self._fault(match, new, operator, mark)

    def _sensible(self, match: re.Match[str], new: str) -> bool:
        if new in ("", "true") and not _balanced(match[0]):
            return False
        begin = self._plain.rfind("\n", 0, match.start()) + 1
        before = self._plain[begin : match.start()]
        if match[0] == "=" and re.search(r"\bSET\b", before):
            return False
        if not self._path.endswith(".j2"):
            return True
        line = self._plain[begin : self._plain.find("\n", match.end())]
        return before.count("{{") == before.count("}}") and "{%" not in line

    def _fault(self, match: re.Match[str], new: str, operator: str, mark: int) -> Fault:
        blank = len(match[0]) - len(match[0].lstrip())
        # A comment before it looks blank, and is not: a statement's name may be in it.
        before = self._text[match.start() : match.start() + blank]
        begin = match.start() + len(before.rstrip())
        start = len(self._text[:begin].encode())
        end = start + len(self._text[begin : match.end()].encode())
        line = self._text.count("\n", 0, match.start() + blank) + 1
        return Fault(self._path, line, mark, f"sql: {operator}", start, end, new)


def is_sql(text: str, around: dict[str, str], name: str) -> bool:
    """Return whether the statement `name` of a changed file is still SQL.

    `around` has the statements of all files, for what it includes; a part is looked at alone, as a
    condition or a list of columns.
    """
    sql = statements_of(text)[name]
    while _INCLUDE.search(sql):
        sql = _INCLUDE.sub(lambda match: around[match[1]], sql)
    sql = _PARAMETER.sub("$1", _COMMENT.sub("", sql)).strip()
    if not name.endswith(("_part", "_parts")):
        return _parses(sql)
    queries = (sql, f"SELECT {sql}", f"SELECT 1 WHERE true {sql}", f"SELECT 1 {sql}")
    return any(map(_parses, (*queries, f"UPDATE x SET {sql}", f"WITH {sql} SELECT 1")))


def statements_of(text: str) -> dict[str, str]:
    """Return the statements of a file by name."""
    _, *parts = _NAME.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _parses(sql: str) -> bool:
    try:
        pglast.parse_sql(sql)
    except pglast.Error:
        return False
    return True


def _balanced(text: str) -> bool:
    return text.count("(") == text.count(")") and text.count("'") % 2 == 0


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])
