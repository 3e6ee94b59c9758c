"""The pipelines in force, and those whose files are gone: the statements alone."""

import json
from typing import Any

import pytest

from tests.support.rows import Rows
from tests.support.run_rows import RunRows

_TERM_OVER = "UPDATE headrace.leader SET expires_at = now() - interval '1 min'"


@pytest.fixture
def made(rows: Rows) -> RunRows:
    rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    return RunRows(rows)


def read(name: str, **columns: Any) -> dict[str, Any]:
    # Base64, as the daemon gives it.
    row = {"version": "1", "definition": {"a": 1}, "file": "f", "source": "YQ==", "built": "Yg=="}
    return {"name": name, **row, **columns}


def keep(
    made: RunRows,
    *changed: dict[str, Any],
    names: list[str] | None = None,
    held: list[str] | None = None,
    term: int = 1,
) -> bool:
    row = made.rows.database.row(
        "keep_pipelines",
        term=term,
        names=[one["name"] for one in changed] if names is None else names,
        held=held or [],
        changed=json.dumps(changed),
    )
    assert row is not None
    return bool(row["leads"])


def kept(made: RunRows) -> dict[str, Any]:
    """Return the rows, with the number of the transaction that has written each."""
    found = made.rows.sql(
        "SELECT name, version, definition, file, source, built, loaded_at,"
        " xmin::text AS written FROM headrace.pipeline ORDER BY name"
    )
    return {row["name"]: row for row in found}


def withdrawn(made: RunRows) -> list[str]:
    found = made.rows.sql("SELECT pipeline FROM headrace.withdrawn ORDER BY pipeline")
    return [row["pipeline"] for row in found]


def test_a_pipeline_is_kept_while_its_file_is_there_or_broken_and_withdrawn_with_it(
    made: RunRows,
) -> None:
    made.rows.sql("INSERT INTO headrace.withdrawn (pipeline) VALUES ('back'), ('gone'), ('far')")
    assert keep(made, *map(read, ("on", "held", "gone", "also gone")))
    assert withdrawn(made) == ["back", "far"]
    assert keep(made, read("back"), names=["on", "back"], held=["held"])

    assert list(kept(made)) == ["back", "held", "on"]
    assert withdrawn(made) == ["also gone", "far", "gone"]
    names = ["on", "nothing"]
    sources = made.rows.database.rows("kept_sources", names=names)
    assert {row["name"] for row in sources} == {"back", "held"}


def test_a_pipeline_is_written_only_if_something_of_it_has_changed(made: RunRows) -> None:
    names = ("same", "version", "definition", "file", "source", "built", "no source", "other")
    keep(made, *map(read, names))
    made.rows.sql("UPDATE headrace.pipeline SET source = NULL WHERE name = 'no source'")
    before = kept(made)
    changed = {"version": "2", "definition": {"a": 2}, "file": "g", "built": "Yw=="}
    again = [read(name, **{key: value}) for name, value in changed.items() for key in (name,)]

    keep(made, read("same"), read("no source"), read("source", source="Yw=="), *again,
         names=list(names))  # fmt: skip

    after = kept(made)
    written = {name for name in names if after[name]["written"] != before[name]["written"]}
    # A source that differs in what is no part of the definition is none of a new version.
    assert written == {*changed, "no source"}
    for name in ("version", "definition", "file"):
        assert after[name][name] == changed[name]
    assert bytes(after["built"]["built"]) == b"c"
    assert bytes(after["no source"]["source"]) == b"a"
    assert all(after[name]["loaded_at"] > before[name]["loaded_at"] for name in written)
    # Without a source nothing is learnt, and nothing is lost.
    keep(made, read("same", source=None), names=list(names))
    assert kept(made)["same"] == after["same"]
    listed = made.rows.database.rows("kept_pipelines")
    assert [row["name"] for row in listed] == sorted(names)


@pytest.mark.parametrize("term", [1, 2])
def test_a_daemon_whose_term_is_over_changes_no_pipeline(made: RunRows, term: int) -> None:
    made.rows.sql("INSERT INTO headrace.withdrawn (pipeline) VALUES ('back')")
    keep(made, read("a"))
    before = kept(made)
    if term == 1:
        made.rows.sql(_TERM_OVER)

    assert not keep(made, read("a", version="2"), read("b"), names=["b", "back"], term=term)

    assert kept(made) == before
    assert withdrawn(made) == ["back"]
    assert made.rows.database.rows("holds_term", term=term) == []
    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    assert made.rows.database.rows("holds_term", term=1) == [{"term": 1}]


def test_a_removed_pipeline_is_told_with_the_queued_runs_that_no_step_waits_for(
    made: RunRows,
) -> None:
    made.rows.sql("INSERT INTO headrace.withdrawn (pipeline) VALUES ('z'), ('a'), ('idle')")
    for pipeline, status, parent in (
        ("z", "queued", None), ("z", "queued", None), ("a", "queued", None),
        ("a", "running", None), ("on", "queued", None), ("idle", "completed", None),
        ("a", "queued", "00000000-0000-0000-0000-000000000001"),
    ):  # fmt: skip
        made.run(pipeline=pipeline, status=status, parent_job=parent)

    with made.rows.database.transaction() as tx:
        for setting in ("indexscan", "bitmapscan", "indexonlyscan", "sort"):
            tx.connection.exec_driver_sql(f"SET LOCAL enable_{setting} = off")
        told = tx.rows("held_back")

    assert [(row["pipeline"], row["runs"]) for row in told] == [("a", 1), ("z", 2)]
