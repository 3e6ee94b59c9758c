"""Which versions of the schema this version works with, and what it tells of one that is newer."""

import pytest

from headrace.errors import SchemaMismatch
from headrace.store.migrations import LATEST, Schema

_NEWER = "9999"


@pytest.mark.parametrize(
    ("schema", "usable"),
    [
        (Schema(LATEST), True),
        (Schema(LATEST, LATEST), True),
        (Schema(_NEWER, LATEST), True),
        (Schema(_NEWER, "0001"), True),
        (Schema(_NEWER, "9998"), False),
        (Schema(_NEWER), False),
        (Schema("0001", "0001"), False),
        (Schema(None), False),
    ],
)
def test_a_version_is_used_that_admits_this_one(schema: Schema, usable: bool) -> None:
    assert schema.usable is usable
    if usable:
        schema.require()
    else:
        with pytest.raises(SchemaMismatch):
            schema.require()


def test_only_a_newer_version_that_is_used_is_told() -> None:
    told = [
        schema.remark is not None
        for schema in (
            Schema(LATEST, LATEST),
            Schema("0001", "0001"),
            Schema(None),
            Schema(_NEWER, "9998"),
            Schema(_NEWER, LATEST),
        )
    ]

    assert told == [False, False, False, False, True]
    remark = Schema(_NEWER, LATEST, made_by="9.9.9").remark
    assert remark is not None
    assert remark.startswith(f"the control database's schema has version {_NEWER}, made by")
