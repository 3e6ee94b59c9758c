"""Names of tables and columns that come from a user."""

import re
from collections.abc import Iterable

from runner.errors import RefusedSql

_TYPES = (
    "smallint integer int bigint numeric decimal real text varchar char boolean bool date time "
    "timestamp timestamptz interval uuid json jsonb bytea inet smallserial serial bigserial"
).split()
_TYPE = re.compile(
    rf"(?:{'|'.join(_TYPES)}|double precision)(?:\(\d{{1,4}}(?:, ?\d{{1,3}})?\))?(?:\[\])?",
    re.IGNORECASE,
)
MAX_BYTES = 63  # PostgreSQL cuts longer names off, so two of them could mean one table.
_PART = re.compile(r"[^\W\d]\w*")


def quote_identifier(name: object, *, max_parts: int = 3) -> str:
    """Return `schema.table` as `"schema"."table"`.

    A part is letters, digits and underscores, not beginning with a digit, at most 63 bytes.
    It means exactly what is written: upper case is kept.

    Raises:
        RefusedSql: `name` is anything else.
    """
    if not isinstance(name, str):
        raise RefusedSql(f"{name!r} is no identifier: a name is a text such as auth.users")
    parts = name.split(".")
    if len(parts) > max_parts or not all(_PART.fullmatch(part) for part in parts):
        raise RefusedSql(
            f"{_short(name)} is no identifier: a name is letters, digits and underscores, "
            "with a dot between schema and table"
        )
    for part in parts:
        if len(part.encode()) > MAX_BYTES:
            raise RefusedSql(f"{_short(part)} is longer than the {MAX_BYTES} bytes of a name")
    return ".".join(f'"{part}"' for part in parts)


def quote_identifiers(names: object) -> str:
    """Return a list of names quoted, with commas between.

    Raises:
        RefusedSql: the list is empty, or one of them is no identifier.
    """
    if isinstance(names, str):
        names = [names]
    if not isinstance(names, Iterable):
        raise RefusedSql(f"{names!r} is no list of identifiers")
    quoted = [quote_identifier(name) for name in names]
    if not quoted:
        raise RefusedSql("a list of identifiers is empty")
    return ", ".join(quoted)


def column_type(name: object) -> str:
    """Return a built-in column type such as `numeric(12, 2)` or `text[]` as it is written.

    Raises:
        RefusedSql: it is anything else.
    """
    if not isinstance(name, str) or not _TYPE.fullmatch(name.strip()):
        raise RefusedSql(f"{name!r} is no column type: write one such as {', '.join(_TYPES[:8])}")
    return name.strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")
