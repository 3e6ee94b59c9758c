"""The named statements of `sql/*.sql`.

A file holds statements that each begin with `-- name: NAME` and a comment that says why.
Parameters are written `:name`. A line `-- include: NAME` stands for another statement's text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

FOLDER = Path(__file__).parent / "sql"

R = TypeVar("R")

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_INCLUDE = re.compile(r"^-- include: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"--[^\n]*")
_PARAMETER = re.compile(r"(?<!:):([a-z_]+)\b")


@dataclass(frozen=True, slots=True)
class Query(Generic[R]):
    """The name of a statement together with the type of its rows."""

    name: str
    row: type[R]


@dataclass(frozen=True)
class Statement:
    """One named statement."""

    name: str
    sql: str

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The parameters' names in the order of their first use."""
        return tuple(dict.fromkeys(_PARAMETER.findall(self.sql)))

    @cached_property
    def pyformat(self) -> str:
        """The statement as psycopg2 takes it, with a mapping of values."""
        return _PARAMETER.sub(r"%(\1)s", self.sql.replace("%", "%%"))

    @cached_property
    def prepare(self) -> str:
        """The `PREPARE` of this statement; its parameters need casts where SQL infers none."""
        order = {name: f"${number}" for number, name in enumerate(self.parameters, 1)}
        body = _PARAMETER.sub(lambda match: order[match[1]], self.sql)
        return f"PREPARE hr_{self.name} AS {body}"

    @cached_property
    def execute(self) -> str:
        """The `EXECUTE` that goes with `prepare`, for psycopg2 with a mapping of values."""
        values = ", ".join(f"%({name})s" for name in self.parameters)
        return f"EXECUTE hr_{self.name} ({values})" if values else f"EXECUTE hr_{self.name}"


def load(folder: Path = FOLDER) -> Mapping[str, Statement]:
    """Return all statements of `folder` by name.

    Raises:
        ValueError: Two statements share a name.
    """
    sources: dict[str, str] = {}
    for path in sorted(folder.glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, sql in zip(parts[::2], parts[1::2], strict=True):
            if name in sources:
                raise ValueError(f"{path}: the statement {name} exists already")
            sources[name] = sql
    return {name: Statement(name, _plain(sql, sources)) for name, sql in sources.items()}


def _plain(sql: str, sources: Mapping[str, str]) -> str:
    included = sql
    while _INCLUDE.search(included):
        included = _INCLUDE.sub(lambda match: sources[match[1]], included)
    return _COMMENT.sub("", included).strip()


STATEMENTS: Mapping[str, Statement] = load()
