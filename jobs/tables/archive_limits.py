"""Refuses numbers of rows and batches that an archiving cannot keep."""

from headrace.errors import InvalidPayload


def refuse_all_but_one(**keys: object) -> None:
    """Refuse two keys that exclude each other, or neither of them.

    Raises:
        InvalidPayload: naming both.
    """
    if sum(value is not None for value in keys.values()) != 1:
        raise InvalidPayload(f"ArchiveRows takes either {' or '.join(keys)}")


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


def refuse_in_batches(*, batches: bool, checks: bool, across: bool, children: bool) -> None:
    """Refuse checks where batches are committed, and children where two databases are.

    Raises:
        InvalidPayload: saying what to do instead.
    """
    if checks and batches:
        raise InvalidPayload(
            "checks judge one transaction, and batches are committed by themselves: check the "
            "archive in a step of its own"
        )
    if children and across:
        raise InvalidPayload(
            "children move within one database only: archive them in an earlier step"
        )


def refuse_part_of_copy(limit: int | None, batch_size: int | None) -> None:
    """Refuse a part of the rows where copies on another connection are kept in both places.

    Raises:
        InvalidPayload: saying what to leave out.
    """
    if limit or batch_size:
        raise InvalidPayload(
            "keep_rows copies all old rows to another connection at once, where those that are "
            "there are known by their keys: leave limit and batch_size away"
        )
