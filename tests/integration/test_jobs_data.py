import csv
import gzip
import json
from datetime import date

import pytest
from sqlalchemy import Connection, text

from headrace.errors import JobFailure, RefusedSql
from headrace.jobs.archive_rows import ArchiveRows
from headrace.jobs.check_data import CheckData
from headrace.jobs.export_query import ExportQuery
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.rebuild_index import RebuildIndex
from headrace.jobs.sync_table import SyncTable
from headrace.jobs.vacuum_table import VacuumTable
from tests.support.attempts import JobRunner, engine_for
from tests.support.servers import create_database, drop_database


@pytest.fixture
def run_job(target, tmp_path):
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def other(servers):
    url = create_database(servers.database_url)
    engine = engine_for(url)
    yield engine
    engine.dispose()
    drop_database(servers.database_url, url)


CSV = 'id,name,amount\n1,"a, ""b""",1.50\n2,,NA\n3,"two\nlines",3\n'
TYPES = {"id": "integer", "amount": "numeric(8, 2)"}


def test_a_csv_file_is_loaded_into_a_new_table(run_job, tmp_path, query):
    (tmp_path / "in.csv").write_text("\ufeff" + CSV, encoding="utf-8")

    result = run_job(
        LoadFile, path="in.csv", table="staging.t", create=True, columns=TYPES, null="NA"
    )

    assert result == {"row_count": 3, "table": "staging.t", "files": 1}
    assert query("SELECT id, name, amount::text FROM staging.t ORDER BY id") == [
        (1, 'a, "b"', "1.50"),
        (2, "", None),
        (3, "two\nlines", "3.00"),
    ]


def test_loading_appends_or_replaces_as_told(run_job, tmp_path, query):
    with gzip.open(tmp_path / "in.csv.gz", "wt") as file:
        file.write("1;x\n2;y\n")
    with_ = {"path": "in.csv.gz", "table": "t", "delimiter": ";", "header": False, "create": True}
    with_["columns"] = ["id", "name"]

    for mode, count in (("append", 2), ("append", 4), ("replace", 2)):
        run_job(LoadFile, **with_, mode=mode)
        assert query("SELECT count(*) FROM t") == [(count,)]


def test_json_lines_are_loaded(run_job, tmp_path, query):
    (tmp_path / "in.jsonl").write_text('{"id": 1, "j": {"a": "\\n\\\\"}}\n{"id": 2}\n')

    run_job(
        LoadFile,
        path="in.jsonl",
        table="t",
        format="jsonl",
        create=True,
        columns={"id": "integer", "j": "jsonb"},
    )

    assert query("SELECT id, j FROM t ORDER BY id") == [(1, {"a": "\n\\"}), (2, None)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("id,amount\n1,2\nx,3\n", r"in\.csv:3: column id: invalid input syntax"),
        ("id,amount\n1,2\n3\n", r"in\.csv:3: .*missing data"),
        ("id,amount\n1,2,3\n", r"in\.csv:2: extra data"),
        ("id,amount\n1,2\n1,2\n", r"in\.csv:3: duplicate key.*Key \(id\)=\(1\)"),
        ("", "empty"),
    ],
)
def test_a_bad_row_fails_the_load_with_its_line_and_loads_nothing(
    run_job, tmp_path, execute, query, content, told
):
    execute("CREATE TABLE t (id int PRIMARY KEY, amount int)")
    (tmp_path / "in.csv").write_text(content)

    with pytest.raises(JobFailure, match=told):
        run_job(LoadFile, path="in.csv", table="t")

    assert query("SELECT count(*) FROM t") == [(0,)]


def test_a_bad_json_line_fails_the_load_with_its_line(run_job, tmp_path, execute):
    execute("CREATE TABLE t (id int)")
    (tmp_path / "in.jsonl").write_text('{"id": 1}\nnonsense\n')

    with pytest.raises(JobFailure, match=r"in\.jsonl:2: no JSON"):
        run_job(LoadFile, path="in.jsonl", table="t", format="jsonl")


def test_a_file_that_is_no_utf_8_is_told(run_job, tmp_path, execute):
    execute("CREATE TABLE t (id text)")
    # Far enough into the file that the header has been read by then.
    (tmp_path / "in.csv").write_bytes(b"id\n" + b"x\n" * 100_000 + b"\xff\xfe\n")

    with pytest.raises(JobFailure, match="not UTF-8"):
        run_job(LoadFile, path="in.csv", table="t")


def test_an_export_is_written_whole_and_can_be_loaded_again(run_job, tmp_path, query):
    sql = "SELECT n, 'a,\"' || n AS t FROM generate_series(1, {{ params.most }}) AS n"

    result = run_job(ExportQuery, path="out/x.csv", sql=sql, params={"most": 3}, delimiter=";")

    assert result == {"row_count": 3, "path": "out/x.csv", "files": 1}
    rows = list(csv.reader((tmp_path / "exports/out/x.csv").open(), delimiter=";"))
    assert rows == [["n", "t"], ["1", 'a,"1'], ["2", 'a,"2'], ["3", 'a,"3']]
    run_job(LoadFile, path="out/x.csv", table="again", create=True, delimiter=";")
    assert query("SELECT count(*) FROM again") == [(3,)]


def test_an_export_as_json_lines_is_json(run_job, tmp_path):
    run_job(ExportQuery, path="x.jsonl", sql="SELECT 1 AS a, E'\\\\\"\\n' AS b", format="jsonl")

    lines = (tmp_path / "exports" / "x.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"a": 1, "b": '\\"\n'}]


def test_a_failed_export_leaves_the_old_file_and_no_other(run_job, tmp_path):
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "x.csv").write_text("old")

    with pytest.raises(Exception, match="division by zero"):
        run_job(ExportQuery, path="x.csv", sql="SELECT 1 / 0")

    assert [(f.name, f.read_text()) for f in (tmp_path / "exports").iterdir()] == [("x.csv", "old")]


def test_nothing_is_written_outside_the_project(run_job):
    with pytest.raises(JobFailure, match="leaves the output folders"):
        run_job(ExportQuery, path="../x.csv", sql="SELECT 1")


def test_vacuum_and_reindex_run_outside_a_transaction(run_job, execute):
    execute("CREATE TABLE t (a int PRIMARY KEY)")

    for full in (False, True):
        run_job(VacuumTable, table="t", full=full)
    run_job(RebuildIndex, table="t")
    run_job(RebuildIndex, index="t_pkey", concurrently=False)

    assert not VacuumTable.transactional
    assert not RebuildIndex.transactional


def test_old_rows_move_to_the_archive_and_none_is_lost(run_job, execute, query):
    execute("CREATE TABLE t (id int, at timestamptz)")
    execute(
        "INSERT INTO t SELECT n, '2026-01-31 12:30+00'::timestamptz - n * interval '1 day' "
        "FROM generate_series(1, 100) n"
    )

    # The test's logical date is 2026-01-31 12:30: the row of 90 days ago is not yet older.
    result = run_job(ArchiveRows, table="t", into="old.t", column="at", older_than="90d")

    assert result["row_count"] == 10
    assert query("SELECT min(id), max(id) FROM old.t") == [(91, 100)]
    assert query("SELECT min(id), max(id) FROM t") == [(1, 90)]
    limited = run_job(
        ArchiveRows, table="t", into="old.t", column="at", before="2026-01-01", limit=7
    )
    assert limited["row_count"] == 7
    assert query("SELECT count(*) FROM old.t") == [(17,)]


@pytest.fixture
def drifted(execute):
    execute("CREATE TABLE source (id int, name text, day date)")
    execute("INSERT INTO source VALUES (1, 'a', '2024-01-01'), (2, 'b\t', NULL), (3, NULL, NULL)")


def drift(connection: Connection) -> None:
    connection.execute(text("CREATE SCHEMA s"))
    connection.execute(text("CREATE TABLE s.target (id int, name text, day date, own int)"))
    connection.execute(
        text(
            "INSERT INTO s.target "
            "VALUES (1, 'a', '2024-01-01', 7), (2, 'old', NULL, NULL), (9, 'gone', NULL, NULL)"
        )
    )


@pytest.mark.parametrize("across", [False, True])
def test_a_synchronisation_writes_only_what_differs(run_job, target, other, drifted, across):
    run_job.engines["other"] = other
    holder = other if across else target
    with holder.begin() as connection:
        drift(connection)

    with_ = {"source_table": "source", "target_table": "s.target", "key": "id", "delete": True}
    where = {"target_connection": "other"} if across else {}
    first = run_job(SyncTable, **with_, **where)
    again = run_job(SyncTable, **with_, **where)

    assert first == {"inserted": 1, "updated": 1, "deleted": 1, "table": "s.target"}
    assert again == {"inserted": 0, "updated": 0, "deleted": 0, "table": "s.target"}
    with holder.connect() as connection:
        rows = connection.execute(text("SELECT * FROM s.target ORDER BY id")).all()
    assert [tuple(r) for r in rows] == [
        (1, "a", date(2024, 1, 1), 7),
        (2, "b\t", None, None),
        (3, None, None, None),
    ]


@pytest.mark.parametrize("across", [False, True])
def test_a_mirror_is_the_same_as_its_source(run_job, target, other, drifted, across):
    run_job.engines["other"] = other
    where = {"target_connection": "other"} if across else {}

    for _ in range(2):
        result = run_job(MirrorTable, source_table="source", target_table="m.copy", **where)
        assert result == {"row_count": 3, "table": "m.copy"}

    with (other if across else target).connect() as connection:
        rows = connection.execute(text("SELECT id, name FROM m.copy ORDER BY id")).all()
    assert [tuple(r) for r in rows] == [(1, "a"), (2, "b\t"), (3, None)]


def test_a_synchronisation_by_an_ambiguous_key_is_refused(run_job, execute, drifted):
    execute("INSERT INTO source VALUES (3, 'again', NULL)")

    with pytest.raises(JobFailure, match="id=3 is null or occurs 2 times"):
        run_job(SyncTable, source_table="source", target_table="t", key="id")


@pytest.mark.parametrize("job", [SyncTable, MirrorTable])
def test_a_missing_source_is_told(run_job, job):
    key = {"key": "id"} if job is SyncTable else {}
    with pytest.raises(JobFailure, match="there is no table nowhere"):
        run_job(job, source_table="nowhere", target_table="t", **key)


@pytest.fixture
def orders(execute):
    execute("CREATE TABLE customer (id int)")
    execute("CREATE TABLE orders (id int, customer int, amount int)")
    execute("INSERT INTO customer VALUES (1)")
    execute("INSERT INTO orders VALUES (1, 1, 5), (2, 1, NULL), (2, 7, 5)")


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"not_null": ["amount"]}, "orders.amount is null: 1 row (id=2, customer=1, amount=None)"),
        ({"unique": ["id"]}, "orders.id is not unique: 1 row (id=2, times=2)"),
        (
            {"references": {"customer": "customer.id"}},
            "orders.customer is not in customer.id: 1 row (id=2, customer=7, amount=5)",
        ),
        ({"min_rows": 4}, "orders has 3 rows, fewer than 4"),
        ({"max_rows": 2}, "orders has 3 rows, more than 2"),
        (
            {
                "sql": "SELECT id FROM orders WHERE amount > {{ params.most }}",
                "params": {"most": 4},
            },
            "rows that should not be there: 2 rows (id=1; id=2)",
        ),
    ],
)
def test_a_broken_rule_fails_the_check_and_names_the_rows(run_job, orders, rules, told):
    with pytest.raises(JobFailure) as failure:
        run_job(CheckData, table="orders", **rules)

    assert str(failure.value) == told


def test_all_broken_rules_are_told_at_once(run_job, orders):
    with pytest.raises(JobFailure, match=r"amount is null.*; .*id is not unique"):
        run_job(CheckData, table="orders", not_null=["amount"], unique=["id"])


def test_good_data_passes_with_the_number_of_checks(run_job, orders):
    result = run_job(
        CheckData,
        table="orders",
        not_null=["id"],
        unique_together=["id", "customer"],
        min_rows=1,
        max_rows=3,
        sql="SELECT 1 WHERE false",
    )

    assert result["checks"] == 5


def test_many_bad_rows_are_cut_short(run_job, execute):
    with pytest.raises(JobFailure, match=r"40 rows \(n=1; n=2; n=3; n=4; n=5; and 35 more\)"):
        run_job(CheckData, sql="SELECT generate_series(1, 40) AS n")


def test_a_check_is_one_query(run_job):
    with pytest.raises(RefusedSql, match="one query"):
        run_job(CheckData, sql="SELECT 1; SELECT 2")
