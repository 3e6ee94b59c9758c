"""What a session has by itself, and what a job's session makes of it."""

from collections.abc import Collection

import pytest

from headrace.store.server_session import Base


def _base(
    path: str = '"$user", public',
    source: str = "default",
    said: Collection[str] = (),
    user: str = "headrace",
) -> Base:
    known = {"search_path": (path, source)}
    return Base(frozenset(said), path, None, user, "0", "0", known)


@pytest.mark.parametrize(
    ("base", "shadowed"),
    [
        (_base(), True),
        (_base(source="configuration file"), True),
        (_base(source="user"), False),
        (_base(source="database user"), False),
        (_base(source="client"), False),
        (_base(source="session"), False),
        (_base(said=["search_path"]), False),
        (_base(said=["search_path"], source="client"), False),
        (_base(said=["lock_timeout"]), True),
        (_base(user="etl"), False),
        (_base("public"), False),
    ],
)
def test_a_role_named_like_our_schema_does_not_see_our_tables_unless_somebody_chose_that(
    base: Base, shadowed: bool
) -> None:
    assert base.shadowed is shadowed
    path = "public" if shadowed else base.search_path
    assert base.for_jobs()["search_path"] == path
