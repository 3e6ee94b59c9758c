"""The key of a table that a copy makes: the source's, where all of it is copied as it is."""

import pytest

from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable

SOURCE = (
    "CREATE TABLE source (a int, b int, note text, PRIMARY KEY (a, b));"
    "INSERT INTO source VALUES (1, 1, 'x'), (1, 2, 'x')"
)
KEY = (
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = 'm.made'::regclass AND contype = 'p'"
)


@pytest.mark.parametrize(
    ("taken", "key"),
    [
        ({}, "PRIMARY KEY (a, b)"),
        ({"columns": ["b", "a"]}, "PRIMARY KEY (b, a)"),
        ({"select": ["a as x"]}, "PRIMARY KEY (x, b)"),
        ({"columns": ["a", "note"]}, None),
        ({"select": ["-b"]}, None),
        ({"mask": {"b": {"constant": 7}, "a": "hash"}}, None),
        ({"mask": {"b": "null"}}, None),
        ({"mask": {"b": "hash", "note": "null"}}, "PRIMARY KEY (a, b)"),
    ],
)
def test_a_mirror_has_the_sources_key_where_all_of_it_is_copied(
    run_job, execute, query, monkeypatch, taken, key
):
    monkeypatch.setenv("MASK_SALT", "a secret")
    execute(SOURCE)
    salt = {"mask_salt": {"env": "MASK_SALT"}} if "hash" in taken.get("mask", {}).values() else {}

    run_job(MirrorTable, source_table="source", target_table="m.made", **taken, **salt)

    assert query("SELECT count(*) FROM m.made") == [(2,)]
    assert query(KEY) == ([] if key is None else [(key,)])


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ({"source_table": "source"}, [("PRIMARY KEY (a, b)",)]),
        ({"source_table": "source", "columns": ["a", "note"]}, []),
        ({"source_sql": "SELECT a, note FROM source"}, []),
    ],
)
def test_what_is_replaced_by_keys_that_repeat_has_no_key_of_them(
    run_job, execute, query, source, key
):
    execute(SOURCE)
    given = {**source, "target_table": "m.made", "primary_key": "a"}

    told = [run_job(SyncTable, **given, merge_strategy="delete_insert") for _ in range(2)]

    assert [(one["inserted"], one["deleted"]) for one in told] == [(2, 0), (2, 2)]
    assert query("SELECT a, note FROM m.made") == [(1, "x"), (1, "x")]
    assert query(KEY) == key
