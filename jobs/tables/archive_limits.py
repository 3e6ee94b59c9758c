"""Refuses numbers of rows and batches that an archiving cannot keep."""

from collections.abc import Mapping
from typing import Any

from headrace.errors import InvalidPayload


def refuse_limits(
    limit: int | None, batch_size: int | None, batch_limit: int | None, *, more: bool
) -> None:
    """Refuse numbers below 1, and keys that need others; `more` says if there are such keys.

    Raises:
        InvalidPayload: naming the key.
    """
    given = {"limit": limit, "batch_size": batch_size, "batch_limit": batch_limit}
    for name, number in given.items():
        if number is not None and number < 1:
            raise InvalidPayload(f"{name} must be at least 1, not {number}")
    if limit is not None and batch_size is not None:
        raise InvalidPayload("limit and batch_size do not go together: use batch_limit")
    if batch_size is None and (more or batch_limit is not None):
        raise InvalidPayload("wait, batch_limit and vacuum need batch_size")


def refuse_in_batches(given: Mapping[str, Any], *, across: bool) -> None:
    """Refuse what needs one transaction in one database, where there are batches, or two of them.

    Raises:
        InvalidPayload: saying what to do instead.
    """
    if across and given.get("keep_rows") and (given.get("limit") or given.get("batch_size")):
        raise InvalidPayload(
            "keep_rows copies all old rows to another connection at once, where those that are "
            "there are known by their keys: leave limit and batch_size away"
        )
    if given.get("checks") and (across or given.get("batch_size") is not None):
        raise InvalidPayload(
            "checks judge one transaction, and batches are committed by themselves: check the "
            "archive in a step of its own"
        )
    if given.get("children") and across:
        raise InvalidPayload(
            "children move within one database only: archive them in an earlier step"
        )
