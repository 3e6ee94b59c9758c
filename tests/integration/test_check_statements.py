"""The statements of checks: what they count, and what they keep beside what others have kept."""

import json
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest
from sqlalchemy import Connection, text

from headrace.template import RenderedSql
from tests.support.attempts import engine_for
from tests.support.statements import Told, sent

OURS = {"connection": "c", "table": "t", "name": "n"}
# Each differs from ours in one thing.
NEIGHBOURS = [OURS | {key: "other"} for key in OURS]
JOB, RUN = "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-0000000000ff"
MEASURED = """
INSERT INTO headrace.metric_value (connection, table_name, name, job_id, value, measured_at)
SELECT :connection, :table, :name, gen_random_uuid(), n, '2020-01-01'::timestamptz + n * interval '1 s'
  FROM unnest(CAST(:numbers AS int[])) AS n
"""  # noqa: E501


@pytest.fixture
def ledger(database: str) -> Iterator[Connection]:
    engine = engine_for(database)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def measure(ledger: Connection, of: dict[str, str], numbers: list[int]) -> None:
    ledger.execute(text(MEASURED), of | {"numbers": numbers})


def kept(ledger: Connection, of: dict[str, str]) -> list[int]:
    rows = ledger.execute(
        text("SELECT value::int FROM headrace.metric_value WHERE connection = :connection"
             " AND table_name = :table AND name = :name ORDER BY measured_at"), of)  # fmt: skip
    return list(rows.scalars())


def test_a_metric_is_compared_with_the_newest_values_of_its_own(ledger: Connection) -> None:
    measure(ledger, OURS, [3, 1, 5, 4, 2])
    for one in NEIGHBOURS:
        measure(ledger, one, [6])
    sent(ledger, "metric_store", **OURS, job_id=JOB, run_id=RUN, value=9)

    # An index has the values in that order already.
    ledger.execute(text("SET enable_indexscan = off; SET enable_bitmapscan = off"))

    def earlier(job: str, runs: int) -> list[int]:
        found = sent(ledger, "metric_earlier", **OURS, job_id=job, runs=runs)
        return [int(value) for value in found.scalars()]

    assert earlier(JOB, 3) == [5, 4, 3]
    assert earlier(JOB, 9) == [5, 4, 3, 2, 1]
    assert earlier(RUN, 2) == [9, 5]


def test_a_job_that_runs_again_replaces_its_own_value(ledger: Connection) -> None:
    measure(ledger, OURS, [1])
    for one in (OURS, *NEIGHBOURS):
        sent(ledger, "metric_store", **one, job_id=JOB, run_id=RUN, value=2)
    ledger.execute(text("UPDATE headrace.metric_value SET measured_at = '2000-01-01'"
                        f" WHERE job_id = '{JOB}'"))  # fmt: skip

    sent(ledger, "metric_store", **OURS, job_id=JOB, run_id=RUN, value=3)

    assert kept(ledger, OURS) == [1, 3]
    assert [kept(ledger, one) for one in NEIGHBOURS] == [[2]] * 3


def test_a_thousand_values_of_a_metric_are_kept_beside_the_newest(ledger: Connection) -> None:
    measure(ledger, OURS, list(range(1, 1005)))
    for one in NEIGHBOURS:
        measure(ledger, one, [0, 2000])

    sent(ledger, "metric_forget", **OURS)

    assert kept(ledger, OURS) == list(range(4, 1005))
    assert [kept(ledger, one) for one in NEIGHBOURS] == [[0, 2000]] * 3
    sent(ledger, "metric_forget", **OURS)
    assert kept(ledger, OURS) == list(range(4, 1005))
    sent(ledger, "metric_forget", **NEIGHBOURS[0])
    assert kept(ledger, NEIGHBOURS[0]) == [0, 2000]


def test_failing_keys_are_those_of_the_latest_attempt(target: Any) -> None:
    about = {"run_id": "r", "pipeline": "p", "step": "s"}
    row = {"table_name": "t", "check_name": "c", "level": "error", "reason": "why", "key": {"a": 1}}

    def store(job: str, attempt: int) -> None:
        sent(connection, "failures_store", table="f", job_id=job, attempt=attempt, **about,
             rows=json.dumps([row]))  # fmt: skip

    def stored(columns: str = "right(job_id::text, 2), attempt") -> list[tuple[Any, ...]]:
        found = connection.execute(text(f"SELECT {columns} FROM f ORDER BY job_id, attempt"))
        return [tuple(one) for one in found]

    with target.connect() as connection:
        sent(connection, "failures_create", table="f")
        for job, attempt in ((JOB, 1), (RUN, 1), (JOB, 2), (RUN, 3), (JOB, 4)):
            store(job, attempt)
        store(JOB, 3)  # Given up: a later one has been here.
        assert stored() == [("0a", 1), ("0a", 2), ("0a", 4), ("ff", 1), ("ff", 3)]
        sent(connection, "failures_replace", table="f", job_id=JOB, attempt=2)
        assert stored() == [("0a", 4), ("ff", 1), ("ff", 3)]
        store(JOB, 4)
        sent(connection, "failures_create", table="f")
        assert len(stored()) == 4
        assert stored("DISTINCT run_id, pipeline, step, table_name, check_name, level, reason, key,"
                      " stored_at > now(), job_id, attempt")[0][:9] == (
            "r", "p", "s", "t", "c", "error", "why", {"a": 1}, True)  # fmt: skip


ROWS = """
CREATE TABLE t (a int, b text); CREATE TABLE o (a int, b text);
INSERT INTO t VALUES (1, 'x'), (1, 'x'), (1, 'x'), (1, 'y'), (2, 'x'), (2, 'x'), (NULL, 'x'),
                     (NULL, 'x'), (1, NULL), (1, NULL), (NULL, NULL), (NULL, NULL)
"""
T, A, B = (RenderedSql(name, {}) for name in "tab")


def test_rows_are_doubled_by_all_columns_and_a_null_equals_nothing(
    told: Told, execute: Any
) -> None:
    execute(ROWS)
    both = {"rows": T, "columns": [A, B]}
    assert told("check_duplicates", **both) == [(3, 12)]
    assert told("check_duplicates", rows=T, columns=[A]) == [(6, 12)]
    assert told("check_duplicates", rows=RenderedSql("o", {}), columns=[A]) == [(0, 0)]
    assert sorted(told("check_duplicated", **both, limit=9)) == [(1, "x", 3), (2, "x", 2)]
    assert told("check_duplicated", rows=T, columns=[B], limit=1) == [("x", 7)]


def test_rows_are_counted_and_shown_by_a_condition(told: Told, execute: Any) -> None:
    execute(ROWS)
    condition = RenderedSql("(a = 2)", {})
    assert told("check_condition", rows=T, condition=condition) == [(2, 12)]
    assert told("check_sample", rows=T, condition=condition, limit=5) == [(2, "x")] * 2
    assert told("check_sample", rows=T, condition=condition, limit=1) == [(2, "x")]


def test_a_checksum_is_that_of_the_rows_texts_in_utf_8(told: Told, execute: Any) -> None:
    execute("CREATE TABLE t (a int, b text)")
    given = {"rows": T, "columns": RenderedSql("a, b", {})}
    assert told("check_checksum", **given) == [(0, 0)]
    execute("INSERT INTO t VALUES (1, 'é'), (NULL, ''), (1, 'é')")
    written = ["(1,é)", '(,"")', "(1,é)"]
    sums = [int(md5(one.encode(), usedforsecurity=False).hexdigest()[:15], 16) for one in written]
    assert told("check_checksum", **given) == [(3, sum(sums))]


@pytest.mark.parametrize("seconds", [1, 3600])
def test_the_newest_row_has_its_age_in_units_of_seconds(
    told: Told, execute: Any, query: Any, seconds: int
) -> None:
    execute("CREATE TABLE t (at timestamptz)")
    given = {"rows": T, "column": RenderedSql("at", {}), "seconds": seconds}
    assert told("check_freshness", **given) == [(None, None)]
    execute("INSERT INTO t SELECT now() - n * interval '1000 h' FROM unnest('{2,1,3}'::int[]) n")
    ((age, newest),) = told("check_freshness", **given)
    assert 1000 <= age * seconds / 3600 < 1001
    assert age == round(age, 3)
    assert query(f"SELECT '{newest}'::timestamptz = max(at) FROM t") == [(True,)]


def test_a_tables_own_checks_are_told_that_are_enforced(
    told: Told, execute: Any, query: Any
) -> None:
    execute(
        "CREATE TABLE t (id int PRIMARY KEY, a int, up int REFERENCES t, UNIQUE (a, id),"
        " CONSTRAINT late CHECK (a > id), CONSTRAINT early CHECK (a > 0),"
        " CONSTRAINT none CHECK (1 > 0));"
        "ALTER TABLE t ADD CONSTRAINT not_yet CHECK (a < 9) NOT VALID;"
        "CREATE TABLE n (x int CONSTRAINT early CHECK (x > 5))"
    )
    ((oid,),) = query("SELECT 't'::regclass::oid::int")
    rows = told("check_constraints", oid=oid)
    assert [(name, body, columns and sorted(columns)) for name, body, columns in rows] == [
        ("early", "CHECK ((a > 0))", ["a"]),
        ("late", "CHECK ((a > id))", ["a", "id"]),
        ("none", "CHECK ((1 > 0))", None),
    ]
    types = ["int4", "varchar", "nonsuch", "numeric"]
    assert told("check_types", types=types) == [
        ("int4", "integer"), ("varchar", "character varying"), ("nonsuch", None),
        ("numeric", "numeric")]  # fmt: skip
