"""Pours rows of another database into a table of PostgreSQL, by COPY."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import JobFailure
from headrace.jobapi import OtherDatabase
from headrace.jobs.files.copy_streams import Lines, copy_in
from headrace.jobs.others.dialect import OtherColumn
from headrace.jobs.others.dialects import dialect_of
from headrace.jobs.sql.packaged import packaged_sql
from headrace.jobs.tables.local_settings import set_locally
from headrace.template import RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Row = tuple[str | None, ...]
"""A row's values as PostgreSQL's texts."""

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class OtherRows:
    """Rows to read: those of a table, which meet `where`, or of a query."""

    database: OtherDatabase
    name: str
    rows: RenderedSql
    columns: Mapping[str, OtherColumn]
    where: str | None = None

    def pour(self, session: "Session", into: RenderedSql, names: Sequence[str]) -> int:
        """Copy all rows into a table's columns of these names; return their number.

        Raises:
            JobFailure: a value does not fit, with the row's number, or rows were lost on the way.
        """
        stored = packaged_sql("copy_into", table=into, columns=names, binary=False)
        lines = _CopyText(self.read(names))
        with set_locally(session, ("datestyle", "ISO, YMD"), ("intervalstyle", "postgres")):
            written = copy_in(
                session, stored, lines, name=self.name, lines=Lines(), piece=_PIECE_BYTES
            )
        if lines.rows != written:
            raise JobFailure(f"{self.name}: {lines.rows} rows were read, but {written} arrived")
        return written

    def read(self, names: Sequence[str]) -> Iterator[Row]:
        """Yield the rows, with the columns of these names.

        Raises:
            JobFailure: a value is not what its column says.
        """
        dialect = dialect_of(self.database)
        columns = [self.columns[name] for name in names]
        values = ", ".join(dialect.selected(column) for column in columns)
        where = None if self.where is None else RenderedSql(f"{self.where}\n", {})
        statement = packaged_sql(
            "other_select", values=RenderedSql(values, {}), rows=self.rows, where=where
        )
        texts = [dialect.text_of(column) for column in columns]
        for number, row in enumerate(self.database.run(statement, stream=True), 1):
            try:
                yield tuple(
                    None if value is None else text(value)
                    for value, text in zip(row, texts, strict=True)
                )
            except JobFailure as error:
                raise JobFailure(f"{self.name}, row {number}: {error}") from None


def rows_of_query(database: OtherDatabase, query: RenderedSql, name: str) -> OtherRows:
    """Return the rows of a query.

    Raises:
        JobFailure: it has two columns of one name.
    """
    found = dialect_of(database).described(database, query)
    names = [column.name for column in found]
    doubled = next((one for one in names if names.count(one) > 1), None)
    if doubled is not None:
        raise JobFailure(
            f"{name}: the query has several columns called {doubled!r}: rename them (AS …)"
        )
    for column in found:
        column.refuse_unknown(name)
    rows = packaged_sql("other_as_rows", query=query)
    return OtherRows(database, name, rows, {column.name: column for column in found})


class _CopyText:
    """What COPY reads, made of rows a piece at a time; nothing is empty before the end."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = iter(rows)
        self._rest = b""
        self.rows = 0

    def read(self, size: int = -1, /) -> bytes:
        """Return the next piece, empty at the end only."""
        wanted = size if size > 0 else _PIECE_BYTES
        pieces = [self._rest]
        length = len(self._rest)
        while length < wanted:
            row = next(self._rows, None)
            if row is None:
                break
            self.rows += 1
            line = "\t".join("\\N" if value is None else value.translate(_ESCAPES) for value in row)
            pieces.append(f"{line}\n".encode())
            length += len(pieces[-1])
        whole = b"".join(pieces)
        self._rest = whole[wanted:]
        return whole[:wanted]
