"""A job's result as its row keeps it: JSON that PostgreSQL takes, and of a bounded size."""

import json
from collections.abc import Mapping, Set
from contextlib import suppress
from decimal import Decimal
from enum import Enum
from typing import Any

from headrace.errors import InvalidResult
from headrace.model import exact_json
from headrace.model.storable import fitted

# What `GET /jobs` sends for each job, and what each late template of a run reads.
MOST_BYTES = 1 << 20


def stored(result: Any) -> str | None:
    """Return a job's result as JSON, None for none; what JSON does not know becomes text.

    A set becomes a list, a member of an enumeration its value. NaN and the infinities become the
    texts `NaN`, `Infinity` and `-Infinity`, as PostgreSQL's own `to_jsonb` has it; NUL and half a
    surrogate pair, for which it has no place, U+FFFD. Of a result with `rows` that is too large
    the last ones are left out, and `truncated` says so.

    Raises:
        InvalidResult: It holds itself, or is too large.
    """
    if result is None:
        return None
    try:
        text = _text(result)
    except RecursionError:
        raise InvalidResult("the result is nested too deeply to be stored") from None
    if len(text) <= MOST_BYTES:
        return text
    if isinstance(result, Mapping) and isinstance(result.get("rows"), list | tuple):
        return _with_fewer_rows(result)
    raise InvalidResult(
        f"the result is too large to be stored: {len(text) >> 10} kB of at most {MOST_BYTES >> 10};"
        " write it to a table or a file, and return its location"
    )


def _text(result: Any) -> str:
    try:
        text = exact_json.dumps(result, default=_plain, allow_nan=False)
    except (TypeError, ValueError):
        # A key that is no text, NaN, or a circle; which of them, the slower way tells.
        return exact_json.dumps(_fitting(result, ()), default=_plain, allow_nan=False)
    if "\\u0000" in text or "\\ud" in text:
        return exact_json.dumps(_fitting(result, ()), default=_plain, allow_nan=False)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, Set) else str(value)


def _fitting(value: Any, around: tuple[int, ...]) -> Any:
    if isinstance(value, Enum | Set):
        value = _plain(value)
    if isinstance(value, bytes):
        with suppress(UnicodeDecodeError):
            value = value.decode()
    if isinstance(value, str):
        return fitted(value)
    if isinstance(value, float | Decimal) and not (number := Decimal(value)).is_finite():
        return "NaN" if number.is_nan() else "Infinity" if number > 0 else "-Infinity"
    if isinstance(value, Mapping | list | tuple):
        if id(value) in around:
            raise InvalidResult("the result cannot be stored: it contains itself")
        inside = (*around, id(value))
        if isinstance(value, Mapping):
            return {_key(key): _fitting(item, inside) for key, item in value.items()}
        return [_fitting(item, inside) for item in value]
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    return fitted(str(value))


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        return _key(key.value)
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    return fitted(str(key))


def _with_fewer_rows(result: Mapping[str, Any]) -> str:
    """Return a result with as many of its rows as fit, found by halves."""
    rows = list(result["rows"])
    fits, too_many = 0, len(rows)
    best = _text({**result, "rows": [], "truncated": True})
    if len(best) > MOST_BYTES:
        raise InvalidResult(
            f"the result is too large to be stored even without its rows: {len(best) >> 10} kB of"
            f" at most {MOST_BYTES >> 10}"
        )
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        text = _text({**result, "rows": rows[:middle], "truncated": True})
        if len(text) <= MOST_BYTES:
            fits, best = middle, text
        else:
            too_many = middle
    return best
