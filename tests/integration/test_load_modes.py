"""LoadFile by key, with a table that changes, and with numbers that are not as expected."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.run_sql import RunSql
from headrace.jobs.sync_table import SyncTable
from tests.support.attempts import JobRunner


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def load(run_job: JobRunner, tmp_path: Path):
    """Load a text as a CSV file, or one of JSON lines, into the table t."""

    def load(content: str, **with_: Any) -> dict[str, Any]:
        is_json = content.startswith("{")
        name = "in.jsonl" if is_json else "in.csv"
        (tmp_path / name).write_text(content, encoding="utf-8")
        format_ = "jsonl" if is_json else "csv"
        result: dict[str, Any] = run_job(LoadFile, path=name, table="t", format=format_, **with_)
        return result

    return load


PEOPLE = "CREATE TABLE t (id int PRIMARY KEY, name text, at date DEFAULT '2026-01-01')"


@pytest.fixture
def people(execute):
    """Make the table anew; returns what does it again."""

    def make() -> None:
        execute("DROP TABLE IF EXISTS child, t")
        execute(PEOPLE)
        execute("INSERT INTO t VALUES (1, 'one', '2025-01-01'), (2, 'two', '2025-01-02')")

    make()
    return make


# -- by key ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", ["id,name\n2,deux\n3,trois\n", '{"id": 2, "name": "deux"}\n{"id":3,"name":"trois"}']
)
def test_merge_updates_the_rows_whose_key_is_there_and_inserts_the_others(
    load, people, query, content
):
    for given in ({}, {"primary_key": "id"}, {"primary_key": ["id"]}):
        people()
        done = load(content, mode="merge", **given)
        assert done == {
            "row_count": 2, "inserted": 1, "updated": 1, "duplicates": 0, "table": "t", "files": 1,
        }  # fmt: skip
        assert query("SELECT id, name, at::text FROM t ORDER BY id") == [
            (1, "one", "2025-01-01"),
            (2, "deux", "2025-01-02"),
            (3, "trois", "2026-01-01"),
        ]


def test_insert_only_leaves_the_rows_whose_key_is_there_as_they_are(load, people, query):
    result = load("id,name\n2,deux\n3,trois\n", mode="insert_only")
    assert (result["inserted"], result["updated"]) == (1, 0)
    assert query("SELECT name FROM t ORDER BY id") == [("one",), ("two",), ("trois",)]


def test_of_several_rows_of_one_key_the_last_stays_or_what_dedup_sort_puts_first(
    load, people, query, caplog
):
    caplog.set_level("INFO")
    rows = "7,oldest,2020-01-01\n7,newest,2026-01-01\n7,undated,\n7,last,2021-01-01\n"
    for sort, stays in (
        (None, "last"),
        ({"at": "desc"}, "newest"),
        ({"at": "asc"}, "oldest"),
        ({"name": "desc", "at": "asc"}, "undated"),
    ):
        people()
        result = load("id,name,at\n" + rows, mode="merge", dedup_sort=sort)
        assert (result["row_count"], result["inserted"], result["duplicates"]) == (4, 1, 3)
        assert query("SELECT name FROM t WHERE id = 7") == [(stays,)]
        assert ": 3 rows gave way to another one of the same key" in caplog.text
        caplog.clear()
    load("id,name,at\n8,only,2021-01-01\n", mode="merge")
    assert "gave way" not in caplog.text


def test_of_json_lines_with_defaults_the_last_of_a_key_stays(load, people, query):
    load('{"id": 7, "name": "a"}\n{"id": 7, "at": "2026-05-05", "name": "b"}\n', mode="merge")
    assert query("SELECT name, at::text FROM t WHERE id = 7") == [("b", "2026-05-05")]


def test_a_row_without_a_key_is_told_with_its_line(load, people, query):
    for content, told in (
        ('id,name\n1,x\n"",y\n', r"in\.csv:3: .*\"id\""),
        ('{"id": 1}\n\n{"id": null}\n', r"in\.jsonl:3: .*\"id\""),
        ('{"id": 1}\n{"name": "no key"}\n', r"in\.jsonl:2: .*\"id\""),
        ("name\nx\n", r"has no column 'id', which is in the primary key of t"),
    ):
        with pytest.raises(JobFailure, match=told):
            load(content, mode="merge")
    assert query("SELECT count(*) FROM t") == [(2,)]


def test_a_merge_needs_a_key(load, execute):
    execute("CREATE TABLE t (id int)")
    with pytest.raises(JobFailure, match=r"t has no primary key: name the columns.*primary_key"):
        load("id\n1\n", mode="merge")
    with pytest.raises(JobFailure, match="has no column 'nr'"):
        load("id\n1\n", mode="merge", primary_key="nr")


def test_a_table_that_a_merge_creates_gets_its_key(load, query):
    for _ in range(2):
        load("id,name\n1,a\n", mode="merge", create=True, primary_key="id", columns={"id": "int"})
    assert query("SELECT * FROM t") == [(1, "a")]
    assert query("SELECT contype::text FROM pg_constraint WHERE conrelid = 't'::regclass "
                 "AND contype = 'p'") == [("p",)]  # fmt: skip


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"primary_key": "id"}, "primary_key needs mode: merge"),
        ({"dedup_sort": {"id": "asc"}}, "dedup_sort needs mode: merge"),
        ({"mode": "merge", "primary_key": []}, "at least one column"),
        ({"on_schema_change": "recreate"}, "needs mode: replace"),
        ({"expect": {"rows": "many"}}, r"expect\.rows is a number or a comparison"),
        ({"expect": {"max_delete": "120%"}}, r"expect\.max_delete is a number of rows, or a share"),
    ],
)
def test_keys_that_do_not_go_together_are_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        LoadFile("in.csv", "t", **with_)


# -- a table that changes -------------------------------------------------------------------

MORE = "id,name,Shoe Size\n3,three,42\n"


@pytest.mark.parametrize("policy", ["ignore", "append_new_columns"])
@pytest.mark.parametrize("content", [MORE, '{"id": 3, "name": "three", "Shoe Size": 42}\n'])
def test_a_new_column_is_left_out_or_added_as_asked(load, people, query, policy, content, caplog):
    for mode in ("append", "merge", "insert_only", "replace"):
        people()
        with caplog.at_level("WARNING", "headrace.job"):
            load(content, mode=mode, on_schema_change=policy, columns={"Shoe Size": "int"})
        row = query("SELECT row_to_json(t) FROM t WHERE id = 3")[0][0]
        if policy == "ignore":
            assert row == {"id": 3, "name": "three", "at": "2026-01-01"}
            assert "Shoe Size" in caplog.text
        else:
            assert row == {"id": 3, "name": "three", "at": "2026-01-01", "Shoe Size": 42}
        assert query("SELECT count(*) FROM t") == [(1 if mode == "replace" else 3,)]


def test_a_new_column_is_an_error_unless_asked(load, people, query):
    with pytest.raises(JobFailure, match=r"no column 'Shoe Size'.*on_schema_change"):
        load(MORE)
    with pytest.raises(JobFailure, match=r"no column for 'shoe'.*on_schema_change"):
        load('{"id": 3, "shoe": 42}\n')


def test_synchronising_columns_retypes_and_on_replace_drops(load, people, query):
    load(
        "id,name\n1,7\n",
        mode="replace",
        on_schema_change="sync_all_columns",
        columns={"name": "numeric(8,2)"},
    )
    assert query("SELECT row_to_json(t)::text FROM t") == [('{"id":1,"name":7.00}',)]
    execute_more = load("id,size\n1,7\n", mode="merge", on_schema_change="sync_all_columns")
    assert execute_more["updated"] == 1
    assert query("SELECT id, name, size FROM t") == [(1, 7, "7")]


def test_recreating_makes_the_table_anew_from_the_file(load, people, query):
    load("nr,name\n1,a\n", mode="replace", on_schema_change="recreate", columns={"nr": "int"})
    assert query("SELECT row_to_json(t)::text FROM t") == [('{"nr":1,"name":"a"}',)]


# -- numbers --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_another_number_of_rows_than_expected_saves_nothing(load, people, query, mode):
    for rows in ("<2", "> 2", "3..9", ">=3", 3):
        with pytest.raises(JobFailure, match=r"2 rows have come for t, but expect\.rows is"):
            load("id,name\n3,x\n4,y\n", mode=mode, expect={"rows": rows})
        assert query("SELECT name FROM t ORDER BY id") == [("one",), ("two",)]
    for rows in (">0", 2, "=2", "1..2", "<=2"):
        people()
        load("id,name\n3,x\n4,y\n", mode=mode, expect={"rows": rows})


@pytest.mark.parametrize("strategy", ["insert_from_staging", "truncate_and_insert"])
@pytest.mark.parametrize("child", [None, "CREATE TABLE child (id int REFERENCES t)"])
def test_replacing_that_would_delete_more_than_expected_saves_nothing(
    load, people, execute, query, strategy, child
):
    with_ = {"mode": "replace", "replace_strategy": strategy}
    content = "id,name\n1,x\n3,y\n4,z\n"
    for most in (1, "50%", "49.9%", 0):
        people()
        if child:
            execute(child)
        if most in (1, "50%"):
            load(content, expect={"max_delete": most}, **with_)
            assert query("SELECT count(*) FROM t") == [(3,)]
            continue
        with pytest.raises(JobFailure, match=r"1 of the 2 rows of t would be deleted"):
            load(content, expect={"max_delete": most}, **with_)
        assert query("SELECT name FROM t ORDER BY id") == [("one",), ("two",)]


def test_without_a_key_as_many_rows_count_as_deleted_as_there_are_fewer(load, execute, query):
    execute("CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 10)")
    with pytest.raises(JobFailure, match="5 of the 10 rows of t would be deleted"):
        load("a\n" + "1\n" * 5, mode="replace", expect={"max_delete": "40%"})
    load("a\n" + "1\n" * 6, mode="replace", expect={"max_delete": "40%"})
    load("a\n" + "1\n" * 60, mode="replace", expect={"max_delete": 0})
    assert query("SELECT count(*) FROM t") == [(60,)]


def test_every_writing_job_holds_to_what_is_expected(run_job, people, execute, query):
    execute("CREATE TABLE empty (id int PRIMARY KEY, name text, at date)")
    guarded: dict[str, Any] = {"max_delete": "10%"}
    copies = {"source_table": "empty", "target_table": "t"}
    with pytest.raises(JobFailure, match="2 of the 2 rows of t would be deleted"):
        run_job(MirrorTable, **copies, expect=guarded)
    with pytest.raises(JobFailure, match="2 of the 2 rows of t would be deleted"):
        run_job(SyncTable, **copies, key="id", delete=True, expect=guarded)
    with pytest.raises(JobFailure, match="0 rows have come for t"):
        run_job(SyncTable, **copies, key="id", expect={"rows": ">0"})
    with pytest.raises(JobFailure, match="2 of the 2 rows of t would be deleted"):
        run_job(RunSql, sql="select * from empty", into="t", expect=guarded)
    assert query("SELECT count(*) FROM t") == [(2,)]


# -- beside the rows ------------------------------------------------------------------------


def test_values_are_masked_before_they_reach_the_table(load, people, query, monkeypatch, execute):
    monkeypatch.setenv("SALT_OF_TESTS", "a long enough secret of tests")
    execute("ALTER TABLE t ADD phone text, ADD card text")
    with_: dict[str, Any] = {
        "mask": {"name": "hash", "phone": "partial:4", "card": None},
        "mask_salt": {"env": "SALT_OF_TESTS"},
    }
    for mode in ("append", "merge", "replace"):
        people()
        execute("ALTER TABLE t ADD phone text, ADD card text")
        load("id,name,phone,card\n7,Ann,5551234567,4111\n8,Ann,,\n", mode=mode, **with_)
        rows = query("SELECT name, phone, card FROM t WHERE id > 6 ORDER BY id")
        assert rows[0][1:] == ("******4567", None)
        assert rows[0][0] == rows[1][0]
        assert len(rows[0][0]) == 64
        assert rows[1][1] is None
    with pytest.raises(JobFailure, match="has no column 'nam'"):
        load("id,name\n9,x\n", mask={"nam": None})


def test_sql_before_and_after_the_rows_commits_with_them(load, people, query):
    load(
        "id,name\n3,x\n",
        pre_sql="DELETE FROM t WHERE id = 1; SET LOCAL work_mem = '8MB'",
        post_sql="UPDATE t SET name = upper(name) WHERE id = 3",
    )
    assert query("SELECT id, name FROM t ORDER BY id") == [(2, "two"), (3, "X")]
    with pytest.raises(Exception, match="division by zero"):
        load("id,name\n4,y\n", pre_sql="DELETE FROM t", post_sql="SELECT 1/0")
    assert query("SELECT count(*) FROM t") == [(2,)]


def test_a_table_that_is_made_gets_the_types_of_its_values_and_the_result_says_which(load, query):
    content = (
        "i,n,f,b,d,ts,tz,u,zip,odd,note,none\n"
        "1,1.50,1e3,true,2026-02-03,2026-02-03 10:00,2026-02-03T10:00:00Z,"
        "6f1f0d3e-0000-4000-8000-000000000001,01234,2026-02-31,x,\n"
        '-2,"",2,f,2026-02-04,2026-02-03 10:00:00.5,2026-02-03 10:00+02,,12345,2026-02-01,"",\n'
    )
    result = load(content, create=True, infer_types=True, columns={"note": "varchar(9)"})
    assert result["types"] == {
        "i": "bigint", "n": "numeric", "f": "double precision", "b": "boolean", "d": "date",
        "ts": "timestamp", "tz": "timestamptz", "u": "uuid", "zip": "text", "odd": "text",
        "none": "text",
    }  # fmt: skip
    assert query("SELECT i, n::text, b, zip, note FROM t ORDER BY i") == [
        (-2, None, False, "12345", ""), (1, "1.50", True, "01234", "x"),
    ]  # fmt: skip
    assert "types" not in load(content, create=True, infer_types=True)
