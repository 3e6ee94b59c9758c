"""Proves of a statement that it only appends rows of given values to one table.

Such jobs may share a transaction: docs/adr/0046-jobs-that-append-share-a-transaction.md. What is
not seen to be one by its form is none; what the table itself does is asked by `appends_only`.
"""

import datetime
import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

_NAME = r'(?:"(?:[^"%]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)'
# Types of the server's own, which no schema on the search path comes before.
_TYPE = (
    "(?:uuid|text|varchar|smallint|integer|int|bigint|numeric|real|boolean|jsonb?|date|timestamptz"
    "|timestamp|int2|int4|int8|float4|float8|bool)"
)
_VALUE = (
    rf"\(?(?:%\(\w+\)s|-?[0-9]+(?:\.[0-9]+)?|'(?:[^'\\%]|'')*'|NULL|TRUE|FALSE|DEFAULT)\)?"
    rf"(?:\s*::\s*{_TYPE}\b)?"
)
_ROW = rf"\(\s*{_VALUE}(?:\s*,\s*{_VALUE})*\s*\)"
_INSERT = re.compile(
    rf"\s*INSERT\s+INTO\s+({_NAME}(?:\.{_NAME})?)\s*(?:\(\s*{_NAME}(?:\s*,\s*{_NAME})*\s*\)\s*)?"
    rf"VALUES\s*{_ROW}(?:\s*,\s*{_ROW})*\s*(?:ON\s+CONFLICT\s+DO\s+NOTHING\s*)?;?\s*",
    re.IGNORECASE,
)
# Texts that a date or a time reads as the moment at which the transaction began.
_MOMENTS = re.compile(
    r"(?<![a-z])(?:now|today|tomorrow|yesterday)(?![a-z])", re.IGNORECASE | re.ASCII
)
_LONGEST = 10_000
_PLAIN = (
    *(int, float, bool, Decimal, type(None)),
    *(datetime.datetime, datetime.date, datetime.time),
)


def appended_table(sql: str, values: Mapping[str, Any] | None) -> str | None:
    """Return the table, as it is written, to which a statement appends these values.

    `sql` is as the driver takes it. None where it may do anything else.
    """
    table = _table(sql)
    if table is None or not all(map(_is_plain, (values or {}).values())):
        return None
    return table


@lru_cache(maxsize=256)
def _table(sql: str) -> str | None:
    if len(sql) > _LONGEST or _MOMENTS.search(sql):
        return None
    found = _INSERT.fullmatch(sql)
    return found[1] if found else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return _MOMENTS.search(value) is None
    return isinstance(value, _PLAIN)
