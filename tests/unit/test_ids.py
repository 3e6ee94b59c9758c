"""Identifiers that sort by the time of their making."""

from uuid import UUID

from headrace.model.ids import new_id


def test_ids_grow():
    ids = [new_id() for _ in range(1000)]

    assert ids == sorted(set(ids))
    assert {one.version for one in ids} == {7}


def test_the_room_after_an_id_is_given_to_nobody():
    for _ in range(1000):
        first = new_id(10_000)

        assert new_id() > UUID(int=first.int + 10_000)
