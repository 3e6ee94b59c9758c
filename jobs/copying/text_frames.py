"""Sends columns of texts to PostgreSQL as CSV, each value rewritten as its column wants it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import JobFailure
from headrace.jobs.files.copy_streams import Lines
from headrace.jobs.files.kept_values import Kept
from headrace.jobs.files.optional_library import library
from headrace.jobs.files.value_forms import Rewrite

_ROWS_WRITTEN = 8192


@dataclass(frozen=True, slots=True)
class TextColumn:
    """A column of texts. `no_value` are texts that mean none even in quotes.

    `kept` is what the table's column keeps of a value.
    """

    name: str
    rewrite: Rewrite | None = None
    no_value: tuple[str, ...] = ()
    kept: Kept | None = None


@dataclass(slots=True)
class LineCount:
    """Counts on which line of its file each record of a batch begins."""

    lines: Lines
    _next: int = 1

    def of(self, batch: Any) -> list[int]:
        """Return the line of each record; the batches must come in order, all columns in them."""
        inside = self._breaks(batch)
        found = []
        for breaks in inside.to_pylist() if inside is not None else [0] * batch.num_rows:
            found.append(self.lines.of(self._next))
            self._next += 1 + breaks
        return found

    def pass_over(self, batch: Any) -> None:
        """Pass over a batch whose lines nobody wants to know."""
        inside = self._breaks(batch)
        breaks = 0 if inside is None else library("pyarrow.compute", "").sum(inside).as_py()
        self._next += batch.num_rows + (breaks or 0)

    def _breaks(self, batch: Any) -> Any:
        """Return the number of line ends inside each record, None where there can be none."""
        arrow, compute = library("pyarrow", ""), library("pyarrow.compute", "")
        inside = None
        for column in batch.columns:
            if arrow.types.is_string(column.type):
                count = compute.fill_null(compute.count_substring(column, "\n"), 0)
                inside = count if inside is None else compute.add(inside, count)
        return inside


class TextFrames:
    """Record batches as CSV for COPY: each value in quotes, no value as nothing.

    `columns` are those of the batches that go on, by their position there; a column of line
    numbers follows where `line_name` is given. `rows` counts what was passed on.
    """

    def __init__(
        self,
        batches: Iterator[Any],
        columns: Mapping[int, TextColumn],
        name: str,
        lines: Lines,
        *,
        adds_line: bool = False,
    ) -> None:
        self._batches, self._columns, self._name = batches, columns, name
        self._count = LineCount(lines)
        self._adds_line = adds_line
        self._pieces = self._written()
        self.lines = lines
        self.refuses_short_years = False
        self.rows = 0

    def read(self, _size: int = -1, /) -> bytes:
        """Return the next rows, and b"" behind the last one only."""
        return next(self._pieces, b"")

    def _written(self) -> Iterator[bytes]:
        for batch in self._batches:
            if not self.rows:
                # The lines that the server counts are those of what it gets.
                self._first(batch)
            for start in range(0, batch.num_rows, _ROWS_WRITTEN):
                part = batch.slice(start, _ROWS_WRITTEN)
                yield self._csv(part)
                self.rows += part.num_rows

    def _first(self, batch: Any) -> None:
        first = [batch.column(at)[0].as_py() for at in self._columns] if batch.num_rows else []
        self.lines.first_breaks = sum(value.count("\n") for value in first if value)

    def _csv(self, batch: Any) -> bytes:
        arrow, csv = library("pyarrow", ""), library("pyarrow.csv", "")
        lines = _Lazy(lambda: self._count.of(batch))
        arrays = [
            self._rewritten(batch.column(at), column, lines) for at, column in self._columns.items()
        ]
        if self._adds_line:
            arrays.append(arrow.array(list(map(str, lines())), arrow.string()))
        elif not lines.known:
            self._count.pass_over(batch)
        names = [str(at) for at in range(len(arrays))]
        sink = arrow.BufferOutputStream()
        options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        csv.write_csv(arrow.record_batch(arrays, names=names), sink, options)
        return bytes(sink.getvalue())

    def _rewritten(self, array: Any, column: TextColumn, lines: Callable[[], list[int]]) -> Any:
        arrow, compute = library("pyarrow", ""), library("pyarrow.compute", "")
        if column.no_value:
            none = compute.is_in(array, value_set=arrow.array(column.no_value, arrow.string()))
            array = compute.if_else(none, arrow.scalar(None, arrow.string()), array)
        if column.rewrite is not None:
            array = self._in_form(array, column, column.rewrite, lines)
        if column.kept is not None:
            self._refuse_lost(array, column, column.kept, lines)
        return array

    def _refuse_lost(
        self, array: Any, column: TextColumn, kept: Kept, lines: Callable[[], list[int]]
    ) -> None:
        compute = library("pyarrow.compute", "")
        suspect = compute.fill_null(compute.match_substring_regex(array, kept.candidate), False)
        if not compute.any(suspect).as_py():
            return
        for at in compute.indices_nonzero(suspect).to_pylist():
            lost = kept.told(array[at].as_py())
            if lost is not None:
                raise JobFailure(f"{self._name}:{lines()[at]}: column {column.name}: {lost}")

    def _in_form(
        self, array: Any, column: TextColumn, rewrite: Rewrite, lines: Callable[[], list[int]]
    ) -> Any:
        compute = library("pyarrow.compute", "")
        fits = compute.fill_null(compute.match_substring_regex(array, rewrite.pattern), True)
        if not compute.all(fits).as_py():
            at = compute.index(fits, False).as_py()
            raise JobFailure(
                f"{self._name}:{lines()[at]}: column {column.name}: {array[at].as_py()!r} is not "
                f"{rewrite.told}"
            )
        for pattern, put in rewrite.steps:
            array = compute.replace_substring_regex(array, pattern=pattern, replacement=put)
        return array


@dataclass(slots=True)
class _Lazy:
    """A value that is worked out once, where it is wanted."""

    work: Callable[[], list[int]]
    _found: list[int] | None = field(default=None)

    @property
    def known(self) -> bool:
        """Whether it is worked out."""
        return self._found is not None

    def __call__(self) -> list[int]:
        if self._found is None:
            self._found = self.work()
        return self._found
