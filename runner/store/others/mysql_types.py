"""The types of a result's columns in MySQL, as the protocol describes them."""

from typing import Any

_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY = 63
_NUMBERS = {1: "tinyint", 2: "smallint", 9: "mediumint", 3: "int", 8: "bigint"}
_PLAIN = {4: "float", 5: "double", 6: "text", 10: "date", 13: "year", 14: "date", 245: "json"}
_MOMENTS = {7: "timestamp", 11: "time", 12: "datetime"}
_TEXTS = (15, 249, 250, 251, 252, 253, 254)
_BIT, _DECIMAL = 16, 246
_MOST_DIGITS_OF_SECONDS = 6


def declared_type(field: Any) -> str:
    """Return the type as a column of it would be declared: `decimal(12,2)`, `int unsigned`."""
    code, unsigned = field.type_code, bool(field.flags & _UNSIGNED)
    if code in _NUMBERS:
        length = "(1)" if code == 1 and field.length == 1 and not unsigned else ""
        return f"{_NUMBERS[code]}{length}{' unsigned' if unsigned else ''}"
    if code == _DECIMAL:
        # The length counts the sign and the point, too.
        digits = field.length - (field.scale > 0) - (not unsigned)
        return f"decimal({digits},{field.scale})"
    if code in _MOMENTS:
        return f"{_MOMENTS[code]}({min(field.scale, _MOST_DIGITS_OF_SECONDS)})"
    if code in _TEXTS and not field.flags & (_ENUM | _SET) and field.charsetnr == _BINARY:
        return "blob"
    if code == _BIT:
        return f"bit({field.length})"
    return "text" if code in _TEXTS else _PLAIN.get(code, f"a type of the number {code}")
