"""What the leading daemon runs stands in the database; nobody else writes it, and not twice."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.engine.catalog.active_definitions import InForce, running
from headrace.model.pipeline import Pipeline, Step
from headrace.store.database import Database


@pytest.fixture
def opened(database: str) -> Iterator[Database]:
    opened = Database(database, application_name="headrace:test")
    opened.rows("acquire_lease", holder="me", lease_s=60.0)
    yield opened
    opened.close()


def pipeline(name: str, version: str = "1", job: str = "FailedJob") -> Pipeline:
    return Pipeline(name, f"{name}.yaml", "", version, (Step("only", job),))


def kept(opened: Database) -> dict[str, tuple[str, Any]]:
    found = running(opened)
    assert found is not None
    return {name: (one.version, one.loaded_at) for name, one in found.items()}


def test_edited_added_and_removed_pipelines_are_followed(opened: Database) -> None:
    in_force = InForce(opened)
    a, b = pipeline("a"), pipeline("b")
    in_force.keep({"a": a, "b": b}, 1)
    first = kept(opened)
    in_force.keep({"b": pipeline("b", "2"), "a": a, "c": pipeline("c")}, 1)
    second = kept(opened)

    assert {name: version for name, (version, _at) in second.items()} == {
        "a": "1",
        "b": "2",
        "c": "1",
    }
    assert second["a"] == first["a"]

    in_force.keep({}, 1)
    assert kept(opened) == {}


def test_a_new_leader_does_not_write_what_stands_there_already(opened: Database) -> None:
    InForce(opened).keep({"a": pipeline("a")}, 1)
    before = opened.rows("kept_pipelines")
    InForce(opened).keep({"a": pipeline("a")}, 1)
    assert opened.rows("kept_pipelines") == before


def test_a_daemon_whose_term_is_over_writes_nothing(opened: Database) -> None:
    InForce(opened).keep({"a": pipeline("a")}, 1)
    late = InForce(opened)
    late.keep({"b": pipeline("b")}, 0)
    late.keep({}, 2)
    assert list(kept(opened)) == ["a"]


def test_what_an_expired_lease_kept_from_being_stored_is_stored_once_it_is_renewed(
    opened: Database,
) -> None:
    in_force, declared = InForce(opened), {"a": pipeline("a")}
    opened.rows("give_up_lease", holder="me")

    assert not in_force.keep(declared, 1)

    (leader,) = opened.rows("acquire_lease", holder="me", lease_s=60.0)
    assert in_force.keep(declared, leader["term"])
    assert list(kept(opened)) == ["a"]


def test_nothing_is_in_force_where_no_daemon_leads(opened: Database) -> None:
    opened.rows("give_up_lease", holder="me")
    assert running(opened) is None
