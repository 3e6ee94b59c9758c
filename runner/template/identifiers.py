"""Names of tables and columns: those that a user writes, and those that a catalogue has."""

import re
from collections.abc import Callable, Iterable

from headrace.errors import RefusedSql
from headrace.errors.shortened import shortened

_TYPES = (
    "smallint integer int bigint numeric decimal real text varchar char boolean bool date time "
    "timestamp timestamptz interval uuid json jsonb bytea inet smallserial serial bigserial"
).split()
_TYPE = re.compile(
    rf"(?:{'|'.join(_TYPES)}|double precision)(?:\(\d{{1,4}}(?:, ?\d{{1,3}})?\))?(?:\[\])?",
    re.IGNORECASE,
)
MAX_BYTES = 63  # PostgreSQL cuts longer names off, so two of them could mean one table.
_PLAIN = r"[^\W\d][\w$]*"
_QUOTED = r'"(?:[^"\x00]|"")+"'
_PART = re.compile(rf"({_PLAIN}|{_QUOTED})(?:\.(?!$)|$)")


def split_name(name: object, *, max_parts: int = 3) -> list[str]:
    """Return the parts of `schema.table` as the catalogue has them.

    A part is letters, digits, underscores and `$`, not beginning with a digit, and means exactly
    what is written: upper case is kept. Any other is written in double quotes, as in SQL:
    `public."Order-Items"`, where two of them stand for one. A part has at most 63 bytes.

    Raises:
        RefusedSql: `name` is anything else.
    """
    if not isinstance(name, str):
        raise RefusedSql(f"{name!r} is not an identifier: a name is a text such as auth.users")
    parts, end = [], 0
    while match := _PART.match(name, end):
        written, end = match[1], match.end()
        parts.append(written[1:-1].replace('""', '"') if written[0] == '"' else written)
    if end != len(name) or not 0 < len(parts) <= max_parts:
        raise RefusedSql(
            f"{shortened(name)!r} is not an identifier: a name has letters, digits and underscores,"
            " with a dot between schema and table; write any other part in double quotes, "
            'public."Order-Items"'
        )
    for part in parts:
        _refuse_long(part)
    return parts


def quote_identifier(name: object, *, max_parts: int = 3) -> str:
    """Return `schema.table` as `"schema"."table"`. Raises as `split_name`."""
    return ".".join(quote_name(part) for part in split_name(name, max_parts=max_parts))


def quote_identifiers(names: object) -> str:
    """Return a list of names quoted, with commas between.

    Raises:
        RefusedSql: the list is empty, or one of them is no identifier.
    """
    return _listed(names, quote_identifier)


def quote_name(name: object) -> str:
    """Return one name, whatever it holds, quoted: `Order ID` is `"Order ID"`, a dot is a dot.

    Raises:
        RefusedSql: it is empty, longer than 63 bytes, or holds a NUL character.
    """
    if not isinstance(name, str) or not name or "\x00" in name:
        raise RefusedSql(f"{name!r} is not a name: a name is a text without NUL characters")
    _refuse_long(name)
    return '"' + name.replace('"', '""') + '"'


def quote_names(names: object) -> str:
    """Return a list of such names quoted, with commas between. Raises as `quote_name`."""
    return _listed(names, quote_name)


def column_type(name: object) -> str:
    """Return a built-in column type such as `numeric(12, 2)` or `text[]` as it is written.

    Raises:
        RefusedSql: it is anything else.
    """
    if not isinstance(name, str) or not _TYPE.fullmatch(name.strip()):
        raise RefusedSql(f"{name!r} is not a column type: use one such as {', '.join(_TYPES[:8])}")
    return name.strip()


def _listed(names: object, quote: Callable[[object], str]) -> str:
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Iterable):
        raise RefusedSql(f"{names!r} is not a list of identifiers")
    quoted = [quote(name) for name in names]
    if not quoted:
        raise RefusedSql("a list of identifiers is empty")
    return ", ".join(quoted)


def _refuse_long(part: str) -> None:
    if len(part.encode()) > MAX_BYTES:
        raise RefusedSql(f"{shortened(part)!r} is longer than the {MAX_BYTES} bytes of a name")
