"""Holds JSON values against type hints, for arguments from YAML and HTTP.

Most arguments are texts, numbers and lists of them, which are seen to fit without a library;
pydantic, which takes a tenth of a second to load, judges the rest: `typed_values`.
"""

import types
import typing
from typing import Any

from headrace.model.mismatch import IsTemplate, Mismatch

__all__ = ["IsTemplate", "Mismatch", "fit"]


def fit(value: Any, hint: Any, is_template: IsTemplate | None = None) -> Any:
    """Return a JSON value as its hint has it: the text of a date as a date.

    What `is_template` says is one fits as it is; without it, everything is judged.

    Raises:
        Mismatch: it does not fit.
    """
    if is_template is not None and is_template(value):
        return value
    if _fits_as_it_is(value, hint, is_template):
        return _copied(value)
    from headrace.model.typed_values import fit_typed

    return fit_typed(value, hint, is_template)


def _fits_as_it_is(value: Any, hint: Any, is_template: IsTemplate | None) -> bool:
    """Return whether a value surely fits, and is what its hint has; False where more is to see."""
    if hint is None or hint is Any:
        return True
    kind = type(value)
    if hint in _PLAIN:
        return kind in _PLAIN[hint] and (kind is not str or _is_encodable(value))
    if hint is list or hint is dict:
        return kind is hint
    origin, arguments = _parts_of(hint)
    if origin is typing.Union or origin is types.UnionType:
        return _fits_one(value, arguments, is_template)
    if origin is typing.Literal:
        return kind is str and value in arguments
    if origin is list and kind is list:
        return all(_fits_part(part, arguments[0], is_template) for part in value)
    if origin is dict and kind is dict and arguments[0] is str:
        return all(
            type(key) is str and _fits_part(part, arguments[1], is_template)
            for key, part in value.items()
        )
    return False


def _parts_of(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    # Not remembered: a union is equal to that of another order, and is another hint.
    return typing.get_origin(hint), typing.get_args(hint)


_PLAIN: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (float, int),
    type(None): (type(None),),
}


_OF_JSON = (str, int, float, bool, type(None), list, dict)


def _fits_part(value: Any, hint: Any, is_template: IsTemplate | None) -> bool:
    if is_template is not None and is_template(value):
        return True
    return _fits_as_it_is(value, hint, is_template)


def _fits_one(value: Any, hints: tuple[Any, ...], is_template: IsTemplate | None) -> bool:
    """Return whether a value fits the first part of a union that it could fit at all."""
    for hint in hints:
        if _fits_as_it_is(value, hint, is_template):
            return True
        if not _surely_refuses(hint, type(value)):
            return False  # It might fit this one, and be made into something else.
    return False


def _surely_refuses(hint: Any, kind: type) -> bool:
    """Return whether a hint that a value does not fit as it is takes none of its type."""
    if hint in _PLAIN:
        return True
    origin, _ = _parts_of(hint)
    return origin in (list, dict) and kind is not origin and kind in _OF_JSON


def _copied(value: Any) -> Any:
    """Return a value whose lists and mappings a job may change: the pipeline keeps its own."""
    if isinstance(value, list):
        return [_copied(part) for part in value]
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return value


def _is_encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
