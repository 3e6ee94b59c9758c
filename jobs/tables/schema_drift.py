"""Resolves differences between the rows to be stored and their target table."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from headrace.errors import JobFailure
from headrace.jobs.tables.table_catalog import Column, Table
from headrace.template import RenderedSql, quote_name

OnSchemaChange = Literal["ignore", "fail", "append_new_columns", "sync_all_columns", "recreate"]
KeepingTable = Literal["ignore", "fail", "append_new_columns", "sync_all_columns"]
"""What a job that goes on using the target's rows can do."""

# Columns that Headrace itself keeps beside a source's.
_OURS = ("_deleted_at", "_loaded_at", "_file", "_line", "_run_id", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True)
class Pair:
    """A column of the rows, and the target's of the same name.

    `storable` says whether PostgreSQL casts the one to the other when it is assigned.
    """

    given: Column
    target: Column
    storable: bool = True


@dataclass(frozen=True, slots=True)
class Agreement:
    """The way in which rows are written to the target.

    `columns` are those that are written, as the target has them once `changes` are made; with
    `anew` the table is dropped and made again. `others` are columns that stay and that somebody
    else may have filled; with `lose` their values may go. `notes` are for the job's log.
    """

    columns: tuple[Column, ...]
    changes: tuple[RenderedSql, ...] = ()
    anew: bool = False
    others: tuple[Column, ...] = ()
    lose: bool = False
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Drift:
    """The differences between rows and target.

    A column of the target that the rows lack takes its default, and one that the target
    generates is its own affair: neither is a difference. So is the order.
    """

    target: Table
    pairs: list[Pair]
    new: list[Column] = field(default_factory=list)
    extra: list[Column] = field(default_factory=list)

    @property
    def unlike(self) -> list[Pair]:
        """Columns whose values cannot be stored."""
        return [pair for pair in self.pairs if not pair.storable]

    @property
    def retyped(self) -> list[Pair]:
        """Columns whose types are written differently."""
        return [pair for pair in self.pairs if pair.given.type != pair.target.type]

    @property
    def unfilled(self) -> list[Column]:
        """Columns that a row must have and that the rows lack."""
        others = [column for column in self.extra if column.name not in _OURS]
        return [column for column in others if not column.filled_by_itself]

    @property
    def droppable(self) -> list[Column]:
        """Columns that the rows lack and that nobody but a source could have filled."""
        own = [c for c in self.extra if not c.generated and not c.identity]
        return [column for column in own if column.name not in _OURS]

    def told(self, *, new: bool = True) -> str:
        """Return the differences in words."""
        table = self.target.written
        words = [f"it has no column {c.name} ({c.type})" for c in self.new if new]
        words += [
            f"its column {p.target.name} is {p.target.type}, which cannot take {p.given.type}"
            for p in self.unlike
        ]
        words += [
            f"its column {c.name} is NOT NULL without a default, and there is no value for it"
            for c in self.unfilled
        ]
        return f"{table} does not fit the rows: {'; '.join(words)}" if words else ""


def compare(
    target: Table,
    given: Sequence[Column],
    generated: frozenset[str],
    filled: Collection[str] = (),
) -> Drift:
    """Return the differences.

    `generated` names columns that the rows' source generates, `filled` those of the target that
    the job fills by itself.
    """
    there = {column.name: column for column in target.columns}
    names = {column.name for column in given}
    return Drift(
        target,
        [
            Pair(one, there[one.name])
            for one in given
            if one.name in there and not there[one.name].generated
        ],
        new=[c for c in given if c.name not in there and c.name not in generated],
        extra=[c for c in target.columns if c.name not in names and c.name not in filled],
    )


def agree(drift: Drift, policy: OnSchemaChange, *, replaces: bool) -> Agreement:
    """Return what `on_schema_change` makes of the differences.

    `replaces` says whether every row of the target is written anew.

    Raises:
        JobFailure: the rows cannot be stored in this way; it says why, and the remedies.
    """
    written = tuple(pair.target for pair in drift.pairs)
    if policy == "recreate":
        apart = drift.new or drift.retyped or drift.droppable or drift.unfilled
        return Agreement(written, anew=bool(apart))
    if policy == "sync_all_columns":
        return _synchronised(drift, replaces=replaces)
    told = drift.told(new=policy == "fail")
    if told:
        raise JobFailure(f"{told}. {_remedies(drift, policy, replaces=replaces)}")
    if not written and not (policy == "append_new_columns" and drift.new):
        raise JobFailure(f"{drift.target.written} has none of the rows' columns")
    others = tuple(drift.droppable)
    if policy == "append_new_columns":
        return Agreement((*written, *drift.new), tuple(_added(drift)), others=others)
    notes = [f"{c.name} is left out: {drift.target.written} has no such column" for c in drift.new]
    return Agreement(written, others=others, lose=policy == "ignore", notes=tuple(notes))


def _synchronised(drift: Drift, *, replaces: bool) -> Agreement:
    table = drift.target.written
    if drift.unfilled and not replaces:
        raise JobFailure(f"{drift.told(new=False)}. Give the column a default, or a value")
    changes = _added(drift)
    notes = []
    for pair in drift.retyped:
        name, kind = quote_name(pair.given.name), pair.given.type
        # Where every row is written anew, none is left by then that could be converted.
        using = f" USING NULL::{kind}" if replaces else f" USING {name}::text::{kind}"
        changes.append(_alter(drift, f"ALTER COLUMN {name} TYPE {kind}{using}"))
        notes.append(f"{table}.{pair.given.name} becomes {kind}; it was {pair.target.type}")
    for column in drift.droppable:
        if replaces:
            changes.append(_alter(drift, f"DROP COLUMN {quote_name(column.name)}"))
            notes.append(f"{table}.{column.name} is dropped: the rows have no such column")
        else:
            notes.append(f"{table}.{column.name} stays, and is left empty in new rows")
    retyped = {pair.given.name: pair.given for pair in drift.retyped}
    written = [retyped.get(pair.target.name, pair.target) for pair in drift.pairs]
    return Agreement((*written, *drift.new), tuple(changes), notes=tuple(notes))


def _added(drift: Drift) -> list[RenderedSql]:
    return [_alter(drift, f"ADD COLUMN {column.declared}") for column in drift.new]


def _alter(drift: Drift, what: str) -> RenderedSql:
    return RenderedSql(f"ALTER TABLE {drift.target.sql.display} {what}", {})


def _remedies(drift: Drift, policy: str, *, replaces: bool) -> str:
    change = "Change the table or the query"
    if drift.unlike or drift.unfilled:
        words = ["sync_all_columns"] if replaces or not drift.unfilled else []
    else:
        words = ["append_new_columns", "ignore (leaves new columns out)"]
    if replaces:
        words.append("recreate (drops the table with its privileges and creates it again)")
    offered = [word for word in words if word.split()[0] != policy]
    return f"{change}, or set on_schema_change: {', or '.join(offered)}" if offered else change
