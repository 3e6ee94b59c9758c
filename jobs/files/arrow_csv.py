"""Reads CSV in columns, a batch at a time, by pyarrow: as texts, or at once as a table's types."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from headrace.errors import JobFailure
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.optional_library import library

_BLOCK_BYTES = 2 << 20
# What PostgreSQL takes for true and false; other ways to write them are left to PostgreSQL.
_TRUE = ["t", "true", "T", "TRUE", "True", "1", "yes", "y", "on"]
_FALSE = ["f", "false", "F", "FALSE", "False", "0", "no", "n", "off"]


class TextBlocks(Protocol):
    """Checked CSV text, some lines at a time; "" is the end."""

    def read(self, size: int = -1, /) -> str: ...


class RecordBlocks(Protocol):
    """Checked CSV text, some whole records at a time; "" is the end, None an endless record."""

    def read_records(self) -> str | None: ...


class Unfit(Exception):
    """A value that does not survive this way: the file is read in another one."""


def text_batches(
    blocks: TextBlocks, names: Sequence[str], form: CsvForm, name: str
) -> Iterator[Any]:
    """Yield record batches with a column of texts for each of `names`.

    The text has no header. An error of `blocks` is raised as it is.

    Raises:
        JobFailure: a record has too many fields, or too few, or is too long.
    """
    what = f"{name}: reading CSV in this form"
    arrow, csv = library("pyarrow", what), library("pyarrow.csv", what)
    text = _Bytes(blocks)
    if not text.has_more():
        return
    options = _options(csv, form, dict.fromkeys(names, arrow.string()), _BLOCK_BYTES)
    try:
        with csv.open_csv(arrow.PythonFile(text, mode="r"), **options) as reader:
            yield from reader
    except arrow.ArrowInvalid as error:
        told = str(error).removeprefix("CSV parse error: ")
        if "straddling" in told:
            told = (
                f"a record is longer than {_BLOCK_BYTES >> 20} MB, which is too long where values "
                "are rewritten, as by decimal or a date's format: take such columns as text, and "
                "convert them in SQL"
            )
        raise JobFailure(f"{name}: {told}") from None


def typed_batches(blocks: RecordBlocks, types: Mapping[str, Any], form: CsvForm) -> Iterator[Any]:
    """Yield record batches with columns of these names and types, texts where there is none.

    The text has no header. An error of `blocks` is raised as it is. Each block is parsed by itself
    and in this thread: as quick as the library's own reading ahead, which keeps many blocks.

    Raises:
        Unfit: a value is none of its column's type, or a record has too many fields, or too few.
    """
    arrow, csv = library("pyarrow", ""), library("pyarrow.csv", "")
    types = {name: one or arrow.string() for name, one in types.items()}
    values = _Values(types, arrow)
    while block := blocks.read_records():
        if block.isspace() and not block.strip("\n"):
            continue
        text = block.encode()
        options = _options(csv, form, types, len(text) + 1)
        try:
            table = csv.read_csv(arrow.BufferReader(text), **options)
        except arrow.ArrowInvalid as error:
            raise Unfit(str(error)) from None
        for batch in table.to_batches():
            values.refuse_unlike(batch, block)
            yield batch
    if block is None:
        raise Unfit("a record that does not end")


def parse_options(form: CsvForm, *, one_column: bool) -> dict[str, Any]:
    """Return how pyarrow parses this form; of one column, an empty line is a value."""
    return {
        "delimiter": form.delimiter,
        "quote_char": form.quote,
        "escape_char": form.escape or False,
        "newlines_in_values": True,
        "ignore_empty_lines": not one_column,
    }


def null_options(form: CsvForm) -> dict[str, Any]:
    """Return what pyarrow takes for a missing value in this form."""
    return {
        "null_values": list(form.null),
        "strings_can_be_null": True,
        "quoted_strings_can_be_null": False,
    }


def _options(csv: Any, form: CsvForm, types: Mapping[str, Any], block_bytes: int) -> dict[str, Any]:
    """Return how a CSV without a header is read whose columns have these types."""
    return {
        "read_options": csv.ReadOptions(
            column_names=list(types), block_size=block_bytes, use_threads=False
        ),
        "parse_options": csv.ParseOptions(**parse_options(form, one_column=len(types) == 1)),
        "convert_options": csv.ConvertOptions(
            column_types=dict(types),
            true_values=_TRUE,
            false_values=_FALSE,
            check_utf8=False,
            **null_options(form),
        ),
    }


class _Bytes:
    """The text as pyarrow reads it: bytes, never more than are asked for."""

    closed = False

    def __init__(self, blocks: TextBlocks) -> None:
        self._blocks = blocks
        self._left = b""
        self._ended = False

    def has_more(self) -> bool:
        """Return whether there is any text."""
        self._fill(1)
        return bool(self._left)

    def read(self, size: int = -1) -> bytes:
        self._fill(size if size >= 0 else 1 << 62)
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def _fill(self, size: int) -> None:
        parts, count = [self._left], len(self._left)
        while count < size and not self._ended:
            block = self._blocks.read()
            if not block:
                self._ended = True
                break
            parts.append(block.encode())
            count += len(parts[-1])
        self._left = b"".join(parts)


class _Values:
    """Values that pyarrow takes and PostgreSQL would not have read, or not so."""

    def __init__(self, types: Mapping[str, Any], arrow: Any) -> None:
        kinds = list(types.values())
        self._integers = any(map(arrow.types.is_integer, kinds))
        self._floats = [n for n, t in types.items() if arrow.types.is_floating(t)]
        self._dates = [
            n for n, t in types.items() if arrow.types.is_date(t) or arrow.types.is_timestamp(t)
        ]
        self._compute: Any = library("pyarrow.compute", "") if self._floats or self._dates else None

    def refuse_unlike(self, batch: Any, text: str) -> None:
        """Refuse such values in a batch that was read from this text.

        Raises:
            Unfit: there is one.
        """
        # pyarrow takes hexadecimal numbers for the bits of a negative one.
        if self._integers and (_has(text, "x", "0x") or _has(text, "X", "0X")):
            raise Unfit("a hexadecimal number")
        compute = self._compute
        for one in self._floats:
            column = batch.column(one)
            if compute.any(compute.is_inf(column)).as_py():
                raise Unfit("an infinite number, or one that is too great")
            if compute.any(compute.equal(column, 0.0)).as_py() and ("e-" in text or "E-" in text):
                raise Unfit("a number that may be too small")
        for one in self._dates:
            column = batch.column(one)
            least = compute.min(column).value
            if least is not None and least < _YEAR_ONE[str(column.type).partition(",")[0]]:
                raise Unfit("the year 0")


def _has(text: str, rare: str, pair: str) -> bool:
    """Return whether a pair is in a text; its `rare` character is found ten times as fast."""
    return rare in text and pair in text


# The beginning of the year 1, counted from 1970 in the units of a type.
_YEAR_ONE = {
    "date32[day]": -719_162,
    "timestamp[us]": -62_135_596_800_000_000,
    "timestamp[us": -62_135_596_800_000_000,
}
