"""Finds the tables that SQL reads, writes and creates."""

import logging
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SqlUse:
    """The use of tables. `unbounded` holds (DELETE or UPDATE, table) without WHERE.

    `makes` are those that are created, changed in their columns, or filled.
    """

    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    unbounded: tuple[tuple[str, str], ...] = ()
    makes: frozenset[str] = frozenset()

    def also(self, other: "SqlUse") -> "SqlUse":
        """Return both together."""
        return SqlUse(
            self.reads | other.reads,
            self.writes | other.writes,
            self.unbounded + other.unbounded,
            self.makes | other.makes,
        )


def uses_of_sql(sql: str) -> SqlUse:
    """Return what a template's statements do; nothing where they cannot be read."""
    # Imported here: where no SQL is read, neither sqlglot nor Jinja is needed.
    import sqlglot
    from sqlglot.errors import SqlglotError

    from headrace.template.skeleton import sql_for_parsers

    # It warns of what it does not know, such as DO blocks.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    text = sql_for_parsers(sql)
    try:
        statements = sqlglot.parse(text, read="postgres")
    except (SqlglotError, RecursionError):
        return SqlUse()
    use = SqlUse()
    for statement in statements:
        if statement is not None:
            use = use.also(_of_statement(statement))
    return use


def _of_statement(statement: Any) -> SqlUse:
    from sqlglot import exp

    from headrace.template.skeleton import UNKNOWN

    hidden = {cte.alias_or_name.lower() for cte in statement.find_all(exp.CTE)} | {UNKNOWN}
    writes: dict[str, None] = {}
    targets: set[int] = set()
    unbounded: list[tuple[str, str]] = []
    kinds = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop)
    for change in statement.find_all(*kinds, exp.TruncateTable):
        aims = [change.this]
        if isinstance(change, exp.TruncateTable | exp.Drop):
            aims = list(change.find_all(exp.Table))  # DROP TABLE a, b
        for aim in aims:
            table = aim if isinstance(aim, exp.Table) else aim and aim.find(exp.Table)
            if table is None or _name(table) in hidden:
                continue
            targets.add(id(table))
            writes[_name(table)] = None
            if isinstance(change, exp.Update | exp.Delete) and change.args.get("where") is None:
                unbounded.append((change.key.upper(), _name(table)))
    made = _made(statement)
    targets.update(id(table) for table in made)
    reads = {_name(table) for table in statement.find_all(exp.Table) if id(table) not in targets}
    return SqlUse(
        frozenset(reads - hidden),
        frozenset(writes),
        tuple(unbounded),
        frozenset({_name(table) for table in made} - hidden),
    )


def _made(statement: Any) -> list[Any]:
    from sqlglot import exp

    kinds = (exp.Create, exp.Insert, exp.Merge, exp.Alter, exp.Into)
    aims = [made.this.find(exp.Table) for made in statement.find_all(*kinds) if made.this]
    return [table for table in aims if table is not None]


def _name(table: Any) -> str:
    return ".".join(part for part in (table.db, table.name) if part).lower()
