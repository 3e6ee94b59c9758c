"""Reads JSON Lines as the rows of a COPY in text format, one line each."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.errors.shortened import shortened
from headrace.jobs.files.column_shapes import SCALAR, Shape
from headrace.jobs.files.copy_streams import Lines, refuse_short_year
from headrace.jobs.files.json_text import Number, Repeated, as_text, decode, values_of
from headrace.jobs.files.kept_values import Kept
from headrace.jobs.files.value_forms import Rewrite

_ENOUGH = 1 << 16
_TOLD_CHARACTERS = 200
_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
NULL = "\\N"


@dataclass(frozen=True, slots=True)
class Field:
    """A column that takes values: `absent` is written for a record that has no key for it.

    A text goes through `rewrite`; `kept` is what the column keeps of a value.
    """

    name: str
    shape: Shape = SCALAR
    absent: str = NULL
    rewrite: Rewrite | None = None
    kept: Kept | None = None


class JsonRecords:
    """Records of JSON, for the driver to read; each comes with its line.

    `keys` tells which of `fields` a key means. With `adds_line` each row has its line behind its
    fields, with `lists_absent` the positions that it has no key for at its end. `rows` counts
    what was passed on, `seen` are the positions that any record had a key for.
    """

    def __init__(
        self,
        lines: Iterable[tuple[int, str]],
        name: str,
        fields: Sequence[Field],
        keys: "Keys",
        *,
        place: Lines,
        lists_absent: bool = False,
        adds_line: bool = False,
    ) -> None:
        self._lines = iter(lines)
        self._adds_line = adds_line
        self._next = 1
        self._name, self._fields, self.keys = name, fields, keys
        self.lines = place
        self._lists_absent = lists_absent
        self._absent = [field.absent for field in fields]
        self._dates = [field.shape.is_date for field in fields]
        self.refuses_short_years = False
        self._raw = [field.shape.kind != "scalar" for field in fields]
        self._looked_at = [
            raw or field.kept is not None or field.rewrite is not None
            for raw, field in zip(self._raw, fields, strict=True)
        ]
        self.rows = 0
        self.seen: set[int] = set()

    def read(self, _size: int = -1, /) -> str:
        """Return the next rows, and "" behind the last one only."""
        rows: list[str] = []
        size = 0
        for number, line in self._lines:
            if not line.strip():
                continue
            for _ in range(number - self._next):
                self.lines.leave_out(self.rows)
            self._next = number + 1
            row = self.row(line, number)
            rows.append(row)
            self.rows += 1
            size += len(row)
            if size >= _ENOUGH:
                break
        return "".join(rows)

    def row(self, line: str, number: int) -> str:
        """Return a record as COPY reads it.

        Raises:
            JobFailure: it is none, with its line.
        """
        record = parse_record(line, self._name, number)
        if not record:
            raise JobFailure(f"{self._name}:{number}: the object has no keys")
        row, given, known = self._absent.copy(), set(), self.keys.known
        for key, value in record.items():
            at = known[key] if key in known else self.keys.position(key, number)
            if at is None:
                continue
            if at in given:
                raise JobFailure(
                    f"{self._name}:{number}: {key!r} and another key mean the same column "
                    f"{self._fields[at].name!r}"
                )
            given.add(at)
            # Most values are plain, and there are many of them.
            if type(value) is Number and not self._looked_at[at]:
                row[at] = value
            elif value is None:
                row[at] = NULL
            elif self._raw[at] or isinstance(value, dict | list):
                row[at] = self._structured(values_of(line)[key], at, number)
            else:
                row[at] = self._plain(value, at, number)
        if not given or not given <= self.seen:
            self._note_seen(given, line, number)
        row += self._added(given, number)
        return self._encodable("\t".join(row) + "\n", number)

    def _added(self, given: set[int], number: int) -> Iterator[str]:
        if self._adds_line:
            yield str(number)
        if self._lists_absent:
            absent = [str(at) for at in range(len(self._fields)) if at not in given]
            yield ",".join(("", *absent, "")) if absent else NULL

    def _note_seen(self, given: set[int], line: str, number: int) -> None:
        if not given:
            raise JobFailure(
                f"{self._name}:{number}: the object has none of the columns that are wanted, so it "
                f"is no row: {shortened(jobapi.redacted(line.strip()), _TOLD_CHARACTERS)}"
            )
        self.seen |= given

    def _plain(self, value: Any, at: int, number: int) -> str:
        if value is True or value is False:
            return "true" if value else "false"
        text = str(value)
        rewrite = self._fields[at].rewrite
        if rewrite is not None and (rewrite.is_date or not isinstance(value, Number)):
            rewritten = rewrite(text)
            if rewritten is None:
                raise JobFailure(
                    f"{self._name}:{number}: column {self._fields[at].name}: {text!r} is not "
                    f"{rewrite.told}"
                )
            text = rewritten
        elif self._dates[at] and self.refuses_short_years:
            refuse_short_year(text, f"{self._name}:{number}", self._fields[at].name)
        kept = self._fields[at].kept
        lost = kept.told(text) if kept is not None else None
        if lost is not None:
            raise JobFailure(f"{self._name}:{number}: column {self._fields[at].name}: {lost}")
        return text.translate(_ESCAPES) if _SPECIAL.search(text) else text

    def _encodable(self, row: str, number: int) -> str:
        if row.isascii():  # Which is known without looking.
            return row
        try:
            row.encode()
        except UnicodeEncodeError as error:
            raise JobFailure(
                f"{self._name}:{number}: holds half a character ({row[error.start]!r}, a lone "
                "surrogate), which no database stores"
            ) from None
        return row

    def _structured(self, raw: str, at: int, number: int) -> str:
        field = self._fields[at]
        try:
            text = as_text(raw, field.shape)
        except ValueError as error:
            raise JobFailure(f"{self._name}:{number}: column {field.name}: {error}") from None
        return NULL if text is None else escaped(text)


class Keys:
    """Which column a record's key means: the same name, else the same but for upper case."""

    def __init__(
        self,
        name: str,
        columns: Sequence[str],
        table: str,
        *,
        leave_out: bool = False,
        rename: Callable[[str], str | None] | None = None,
    ) -> None:
        self._rename = rename
        self._name, self._columns, self._table = name, columns, table
        self._leave_out = leave_out
        self.left_out: dict[str, None] = {}
        # Looked up from outside for each key of each record.
        self.known: dict[str, int | None] = {}
        if rename is None:
            self.known = {column: at for at, column in enumerate(columns)}

    def position(self, key: str, number: int) -> int | None:
        """Return the position of the column, None where the key is left out.

        Raises:
            JobFailure: no column has this name.
        """
        if key not in self.known:
            self.known[key] = self._looked_up(key, number)
        return self.known[key]

    def _looked_up(self, key: str, number: int) -> int | None:
        if self._rename is None:
            return self._folded(key, number)
        name = self._rename(key)
        if name is None:
            return None
        return self._columns.index(name) if name in self._columns else self._folded(name, number)

    def _folded(self, key: str, number: int) -> int | None:
        alike = [at for at, one in enumerate(self._columns) if one.casefold() == key.casefold()]
        if len(alike) == 1:
            return alike[0]
        if self._leave_out:
            self.left_out[key] = None
            return None
        raise JobFailure(
            f"{self._name}:{number}: no column for {key!r}: {self._table} takes "
            f"{', '.join(self._columns)}; add the column, remove the key from the file, or let "
            "`on_schema_change` say what to do"
        )


def parse_record(line: str, name: str, number: int) -> dict[str, Any]:
    """Return one line of JSON Lines, numbers as they are written.

    Raises:
        JobFailure: it is no JSON object, or a key stands in it twice.
    """
    try:
        record = decode(line)
    except json.JSONDecodeError as error:
        raise JobFailure(
            f"{name}:{number}: no JSON: {error.msg} (character {error.colno} of the line; "
            "each line is an object of its own)"
        ) from None
    except RecursionError:
        raise JobFailure(f"{name}:{number}: the JSON is nested too deeply") from None
    if not isinstance(record, dict):
        raise JobFailure(f"{name}:{number}: no JSON object but {shortened(line.strip())}")
    if isinstance(record, Repeated):
        raise JobFailure(f"{name}:{number}: the key {_repeated(line)!r} occurs twice in the object")
    return record


def keys_in(lines: Iterable[tuple[int, str]], name: str) -> list[str]:
    """Return every key that the records have, in the order in which they come."""
    found: dict[str, None] = {}
    for number, line in lines:
        if line.strip():
            found |= dict.fromkeys(parse_record(line, name, number))
    return list(found)


def _repeated(line: str) -> str:
    pairs: list[list[str]] = []
    hook: Any = lambda members: pairs.append([key for key, _ in members])  # noqa: E731
    json.JSONDecoder(object_pairs_hook=hook, parse_int=str).decode(line)
    outer = pairs[-1]  # An object is told when it ends: the outer one last.
    return next(key for key in outer if outer.count(key) > 1)


def escaped(text: str) -> str:
    """Return a value as COPY in text format has it."""
    return text.translate(_ESCAPES) if _SPECIAL.search(text) else text
