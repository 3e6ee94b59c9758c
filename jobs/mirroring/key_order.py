"""The order in which tables that refer to each other are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key: `columns` of `child` refer to `parent_columns` of `parent`, each by its OID.

    `rest` is what its definition says behind these.
    """

    name: str
    schema: str
    child: int
    parent: int
    child_table: str
    parent_table: str
    deferrable: bool
    columns: list[str]
    parent_columns: list[str]
    rest: str

    @property
    def sql(self) -> str:
        """Its name for SET CONSTRAINTS."""
        return f"{quote_name(self.schema)}.{quote_name(self.name)}"


@dataclass(frozen=True, slots=True)
class Order:
    """Tables by their OIDs, each behind those that it refers to.

    `keys` are all foreign keys from and to them, `deferred` those that are looked at in the end,
    because they form a circle.
    """

    oids: list[int]
    keys: list[ForeignKey]
    deferred: list[ForeignKey]

    def referring(self, oid: int) -> list[ForeignKey]:
        """Return the keys by which rows of these tables refer to one of them."""
        return [key for key in self.keys if key.parent == oid and key.child in self.oids]


def foreign_keys(session: "Session", oids: Sequence[int]) -> list[ForeignKey]:
    """Return the foreign keys from and to these tables."""
    rows = execute(session, packaged_sql("foreign_keys_of", oids=list(oids))).mappings()
    return [ForeignKey(**row) for row in rows]


def in_order(session: "Session", oids: Sequence[int]) -> Order:
    """Return tables in the order of their foreign keys.

    Raises:
        JobFailure: keys that are looked at at once form a circle.
    """
    keys = foreign_keys(session, oids) if oids else []
    among = [
        key for key in keys if {key.child, key.parent} <= set(oids) and key.child != key.parent
    ]
    try:
        return Order(_sorted(oids, among), keys, [])
    except CycleError:
        deferred = [key for key in among if key.deferrable]
    try:
        return Order(_sorted(oids, [key for key in among if not key.deferrable]), keys, deferred)
    except CycleError as error:
        circle = set(error.args[1])
        held = [key for key in among if not key.deferrable and {key.child, key.parent} <= circle]
        told = ", ".join(f"{key.name} of {key.child_table}" for key in held)
        raise JobFailure(
            f"foreign keys of the target form a circle ({told}), so that no order of the tables "
            f"keeps them: let one be looked at in the end, ALTER TABLE {held[0].child_table} ALTER "
            f"CONSTRAINT {quote_name(held[0].name)} DEFERRABLE"
        ) from None


def defer(session: "Session", keys: Sequence[ForeignKey], *, deferred: bool) -> None:
    """Let foreign keys be looked at later, or now."""
    if keys:
        names = RenderedSql(", ".join(sorted({key.sql for key in keys})), {})
        execute(session, packaged_sql("set_constraints", names=names, deferred=deferred))


def _sorted(oids: Sequence[int], keys: Sequence[ForeignKey]) -> list[int]:
    sorter: TopologicalSorter[int] = TopologicalSorter(dict.fromkeys(oids, ()))
    for key in keys:
        sorter.add(key.child, key.parent)
    return list(sorter.static_order())
