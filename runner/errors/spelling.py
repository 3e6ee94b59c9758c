"""Texts that look the same and are not: letters and their marks as one sign, or as two."""

from unicodedata import normalize

OTHERWISE = (
    "looks the same, but its letters with marks are other signs (Unicode NFC against NFD); copy it"
    " from there"
)


def written_otherwise(one: str, other: str) -> bool:
    """Return whether two texts differ in nothing but that."""
    return one != other and normalize("NFC", one) == normalize("NFC", other)
