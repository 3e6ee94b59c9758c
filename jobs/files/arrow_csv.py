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


class Unfit(Exception):
    """A value that does not survive this way: the file is read in another one."""


def batches(
    blocks: TextBlocks,
    names: Sequence[str],
    form: CsvForm,
    types: Mapping[str, Any] | None,
    name: str,
) -> Iterator[Any]:
    """Yield record batches with a column for each of `names`, which has its type, default text.

    The text has no header. An error of `blocks` is raised as it is.

    Raises:
        Unfit: `types` are given, and a value is none of its column's type.
        JobFailure: a record has too many fields, or too few.
    """
    what = f"{name}: reading CSV in this form"
    arrow, csv = library("pyarrow", what), library("pyarrow.csv", what)
    text = _Bytes(blocks, types or {}, arrow)
    wanted = {one: (types or {}).get(one, arrow.string()) for one in names}
    if not text.has_more():
        return
    try:
        with _opened(csv, arrow.PythonFile(text, mode="r"), form, wanted) as reader:
            for batch in reader:
                if types is not None:
                    text.refuse_unlike(batch)
                yield batch
    except arrow.ArrowInvalid as error:
        if text.error is not None:
            raise text.error from None
        if types is not None:
            raise Unfit(str(error)) from None
        raise JobFailure(f"{name}: {_told(str(error))}") from None
    except Exception:
        if text.error is not None:
            raise text.error from None
        raise


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


def _opened(csv: Any, file: Any, form: CsvForm, types: Mapping[str, Any]) -> Any:
    """Open a CSV without a header whose columns have these types."""
    return csv.open_csv(
        file,
        read_options=csv.ReadOptions(column_names=list(types), block_size=_BLOCK_BYTES),
        parse_options=csv.ParseOptions(**parse_options(form, one_column=len(types) == 1)),
        convert_options=csv.ConvertOptions(
            column_types=dict(types),
            true_values=_TRUE,
            false_values=_FALSE,
            check_utf8=False,
            **null_options(form),
        ),
    )


def _told(message: str) -> str:
    """Return what pyarrow says of a CSV file without its prefix, and cut."""
    text = message.removeprefix("CSV parse error: ")
    return text if len(text) < 300 else text[:300] + "…"


class _Bytes:
    """The text as pyarrow reads it: bytes, never more than are asked for."""

    closed = False

    def __init__(self, blocks: TextBlocks, types: Mapping[str, Any], arrow: Any) -> None:
        self._blocks = blocks
        self._left = b""
        self._ended = False
        self._small = False
        kinds = list(types.values())
        self._integers = any(map(arrow.types.is_integer, kinds))
        self._floats = [n for n, t in types.items() if arrow.types.is_floating(t)]
        self._dates = [
            n for n, t in types.items() if arrow.types.is_date(t) or arrow.types.is_timestamp(t)
        ]
        self._arrow = arrow
        self.error: Exception | None = None

    def has_more(self) -> bool:
        """Return whether there is any text."""
        self._fill(1)
        return bool(self._left)

    def read(self, size: int = -1) -> bytes:
        try:
            self._fill(size if size >= 0 else 1 << 62)
        except Exception as error:
            self.error = error
            raise
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self.closed = True

    def _fill(self, size: int) -> None:
        parts, count = [self._left], len(self._left)
        while count < size and not self._ended:
            block = self._blocks.read()
            if not block:
                self._ended = True
                break
            if self._integers and ("0x" in block or "0X" in block):
                # pyarrow takes hexadecimal numbers for the bits of a negative one.
                raise Unfit("a hexadecimal number")
            self._small = self._small or "e-" in block or "E-" in block
            parts.append(block.encode())
            count += len(parts[-1])
        self._left = b"".join(parts)

    def refuse_unlike(self, batch: Any) -> None:
        """Refuse values that PostgreSQL would not have read, or not so.

        Raises:
            Unfit: there is one.
        """
        compute = library("pyarrow.compute", "")
        for one in self._floats:
            column = batch.column(one)
            if compute.any(compute.is_inf(column)).as_py():
                raise Unfit("an infinite number, or one that is too great")
            if self._small and compute.any(compute.equal(column, 0.0)).as_py():
                raise Unfit("a number that may be too small")
        for one in self._dates:
            column = batch.column(one)
            least = compute.min(column).value
            if least is not None and least < _YEAR_ONE[str(column.type).partition(",")[0]]:
                raise Unfit("the year 0")


# The beginning of the year 1, counted from 1970 in the units of a type.
_YEAR_ONE = {
    "date32[day]": -719_162,
    "timestamp[us]": -62_135_596_800_000_000,
    "timestamp[us": -62_135_596_800_000_000,
}
