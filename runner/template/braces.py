"""Recognises texts of the template language, without loading the library that reads them."""

from typing import TypeGuard


def has_template(value: object) -> TypeGuard[str]:
    """Return whether a value is a text that holds anything for the template language."""
    return isinstance(value, str) and ("{{" in value or "{%" in value or "{#" in value)
