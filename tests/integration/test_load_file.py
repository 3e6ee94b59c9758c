"""LoadFile with the files that people have: what arrives is what the file says, or an error."""

import bz2
import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from headrace.errors import JobFailure
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def run_job(target: Engine, folder: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(folder,), project=folder)


@pytest.fixture
def load(run_job: JobRunner, folder: Path):
    """Load a text (or bytes) as a file of this name into the table t."""

    def load(content: str | bytes, name: str = "in.csv", **with_: Any) -> int:
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(raw)
        if name.endswith(".jsonl"):
            with_.setdefault("format", "jsonl")
        result: dict[str, Any] = run_job(LoadFile, path=name, table="t", **with_)
        return int(result["row_count"])

    return load


# -- JSON ---------------------------------------------------------------------------------


def test_every_digit_of_a_json_number_survives(load, execute, query):
    execute("CREATE TABLE t (n numeric, j jsonb, d text, k json, b text)")
    load(
        '{"n": 12345678901234567.89, "j": {"a": 0.1000, "b": [1.10, 12345678901234567.891]},'
        ' "d": {"a": 1.10}, "k": 1.500, "b": 1.10}\n{"n": 1e400}\n'
        f'{{"n": {"7" * 5000}}}\n',
        "in.jsonl",
    )
    rows = query("SELECT n::text, j::text, d, k::text, b FROM t")
    assert rows[0] == (
        "12345678901234567.89",
        '{"a": 0.1000, "b": [1.10, 12345678901234567.891]}',
        '{"a": 1.10}',
        "1.500",
        "1.10",
    )
    assert rows[1][0] == "1" + "0" * 400
    assert rows[2][0] == "7" * 5000


def test_a_number_that_a_float_column_cannot_hold_is_told(load, execute):
    execute("CREATE TABLE t (f float8)")
    with pytest.raises(JobFailure, match=r"in\.jsonl:1: column f: \"1e400\" is out of range"):
        load('{"f": 1e400}\n', "in.jsonl")


def test_a_key_that_a_record_lacks_takes_the_columns_default(load, execute, query):
    execute(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, name text, state text DEFAULT 'new',"
        " made timestamptz DEFAULT now(), note text, double int GENERATED ALWAYS AS (1 + 1) STORED)"
    )
    count = load(
        '{"name": "a"}\n{"name": "b", "state": null}\n\n'
        '{"state": "old", "name": "c", "note": ""}\n',
        "in.jsonl",
    )
    assert count == 3
    assert query("SELECT id, name, state, made IS NOT NULL, note FROM t ORDER BY id") == [
        (1, "a", "new", True, None),
        (2, "b", None, True, None),
        (3, "c", "old", True, ""),
    ]


@pytest.mark.parametrize("strategy", ["insert_from_staging", "truncate_and_insert"])
def test_replacing_from_json_lines_takes_defaults_too(load, execute, query, strategy):
    execute("CREATE TABLE t (id serial, name text, state text DEFAULT 'new')")
    execute("INSERT INTO t (name) VALUES ('gone')")
    load(
        '{"name": "a"}\n{"id": 70, "name": "b", "state": "old"}\n',
        "in.jsonl",
        mode="replace",
        replace_strategy=strategy,
    )
    assert query("SELECT id, name, state FROM t ORDER BY id") == [(2, "a", "new"), (70, "b", "old")]
    execute("INSERT INTO t (name) VALUES ('next')")
    assert query("SELECT max(id) FROM t") == [(71,)]


@pytest.mark.parametrize(
    ("content", "with_", "told"),
    [
        ('{"id": 1}\n{"id": 2, "nota": "x"}\n', {}, r"in\.jsonl:2: no column for 'nota'.*id, note"),
        ('{"id": 1}\n', {"columns": ["id", "note"]}, "no record has the column 'note'"),
        ('{"id": 1, "id": 2}\n', {}, r":1: the key 'id' occurs twice"),
        ('{"id": 1}\n{"note": "\\ud800"}\n', {}, r"in\.jsonl:2: holds half a character"),
        ('{"id": 1}\n{"note": "a\\u0000"}\n', {}, r"in\.jsonl:2"),
        ('[{"id": 1}]\n', {}, r":1: no JSON object but \[\{"),
        ('{"id": 1}\n\n{"id": "x"}\n', {}, r"in\.jsonl:3: column id: invalid input syntax"),
        ("{}\n", {}, ":1: the object has no keys"),
        ('{"id": 1, "ID": 2}\n', {}, "mean the same column 'id'"),
        ('{"id": ' + "[" * 100_000 + "\n", {}, r":1: (no JSON|the JSON is nested)"),
    ],
)
def test_a_json_line_that_cannot_be_stored_as_it_is_is_told(
    load, execute, query, content, with_, told
):
    execute("CREATE TABLE t (id int, note text)")
    with pytest.raises(JobFailure, match=told):
        load(content, "in.jsonl", **with_)
    assert query("SELECT count(*) FROM t") == [(0,)]


def test_a_declared_column_that_some_records_lack_takes_its_default(load, execute, query):
    execute("CREATE TABLE t (id int, note text DEFAULT 'none')")
    load('{"id": 1, "note": "x"}\n{"id": 2}\n', "in.jsonl", columns=["id", "note"])
    assert query("SELECT * FROM t ORDER BY id") == [(1, "x"), (2, "none")]


def test_a_table_is_made_with_the_keys_of_all_records(load, query):
    load('{"id": 1}\n{"id": 2, "Order ID": 1.10}\n', "in.jsonl", create=True)
    assert query('SELECT id, "Order ID" FROM t ORDER BY id') == [("1", None), ("2", "1.10")]


def test_an_empty_json_lines_file_is_no_rows(load, execute, query):
    execute("CREATE TABLE t (id int)")
    assert load("", "in.jsonl") == 0


# -- CSV: names ---------------------------------------------------------------------------


def test_a_list_of_columns_is_matched_with_the_header_by_name(load, execute, query):
    execute("CREATE TABLE t (first_name text, last_name text)")
    load("last_name,first_name\nLovelace,Ada\n", columns=["first_name", "last_name"])
    assert query("SELECT * FROM t") == [("Ada", "Lovelace")]


@pytest.mark.parametrize(
    ("content", "with_", "told"),
    [
        (
            "a,b\n1,2\n",
            {"columns": ["id", "name"]},
            r"in\.csv:1: has no column 'id'; its columns: a, b",
        ),
        ("id,name,more\n1,2,3\n", {"columns": ["id", "name"]}, "a column 'more' that `columns`"),
        ("id,name,more\n1,2,3\n", {}, r"in\.csv:1: t has no column 'more'.*id, name"),
        ("id,,name\n1,2,3\n", {}, "the column 2 of the header has no name"),
        ("id,name,id\n1,2,3\n", {}, "'id' occurs twice in the header"),
        ("id,name,\n1,x,\n2,y,z\n", {}, r"in\.csv:3: there is a value in the last column"),
        ("id;name\n1;x\n", {}, "with `delimiter: ';'` it is several"),
        ("\nid,name\n", {}, "begins with an empty line"),
        (f"id,{'n' * 200_000}\n", {}, "longer than the 63 bytes"),
        ('id,"name\n1,2\n', {}, "a quoted name in the header is never closed"),
    ],
)
def test_a_header_that_does_not_fit_is_told(load, execute, content, with_, told):
    execute("CREATE TABLE t (id int, name text)")
    with pytest.raises(JobFailure, match=told) as failure:
        load(content, **with_)
    assert "jobs/sql" not in str(failure.value)


@pytest.mark.parametrize(
    "header", ["ID,Name", '"id"," name "', "\ufeffid,name", "id,name,", "Id,nAME"]
)
def test_a_header_fits_by_its_names_whatever_their_case(load, execute, query, header, caplog):
    caplog.set_level("INFO")
    execute("CREATE TABLE t (name text, id int)")
    comma = "," if header.endswith(",") else ""
    load(f'{header}\n1,x{comma}\n2,"y"{comma}\n')
    assert query("SELECT id, name FROM t ORDER BY id") == [(1, "x"), (2, "y")]
    told = ": {} goes into the column {}"
    assert (told.format("ID", "id") in caplog.text) is header.startswith("ID")
    assert (told.format("nAME", "name") in caplog.text) is header.endswith("nAME")
    assert "id goes into" not in caplog.text


@pytest.mark.parametrize("columns", [["name", "id"], {"name": "text", "id": "integer"}])
def test_without_a_header_a_list_and_a_mapping_give_the_fields_in_their_order(
    load, execute, query, columns
):
    execute("CREATE TABLE t (id int, name text)")
    load("x,1\ny,2\n", header=False, columns=columns)
    assert query("SELECT id, name FROM t ORDER BY id") == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("columns", [["name", "id"], {"name": "text", "id": "integer"}])
def test_with_a_header_the_order_of_a_list_and_of_a_mapping_has_no_meaning(
    load, execute, query, columns
):
    execute("CREATE TABLE t (id int, name text)")
    load("id,name\n1,x\n2,y\n", columns=columns)
    assert query("SELECT id, name FROM t ORDER BY id") == [(1, "x"), (2, "y")]


def test_a_mapping_need_not_name_all_columns_of_a_header_and_a_list_has_to(load, execute, query):
    execute("CREATE TABLE t (id int, name text)")
    load("id,name\n1,x\n", columns={"id": "integer"})
    assert query("SELECT id, name FROM t") == [(1, "x")]
    with pytest.raises(JobFailure, match="the header has a column 'name' that `columns` does not"):
        load("id,name\n1,x\n", columns=["id"])


def test_any_name_of_a_column_is_quoted(load, query):
    load('Order ID,Amount (USD),@id,"a""b",x.y,select\n1,2,3,4,5,6\n', create=True)
    load('Order ID,Amount (USD),@id,"a""b",x.y,select\n1,2,3,4,5,6\n', create=True)
    assert (
        query('SELECT "Order ID", "Amount (USD)", "@id", "a""b", "x.y", "select" FROM t')
        == [("1", "2", "3", "4", "5", "6")] * 2
    )


def test_a_declared_type_that_an_existing_table_does_not_have_is_told(load, execute, query):
    load("id,amount\n1,2\n", create=True)
    with pytest.raises(
        JobFailure, match=r"declares amount as numeric, but t .* has it as text.*ALTER"
    ):
        load("id,amount\n1,2\n", create=True, columns={"amount": "numeric"})
    execute("ALTER TABLE t ALTER amount TYPE numeric(12,2) USING amount::numeric")
    load("id,amount\n1,2\n", create=True, columns={"amount": "numeric"})
    load("id,amount\n1,2\n", create=True, columns={"amount": "decimal(12, 2)"})
    with pytest.raises(JobFailure, match=r"as numeric\(8,2\), but"):
        load("id,amount\n1,2\n", create=True, columns={"amount": "numeric(8,2)"})
    assert query("SELECT sum(amount) FROM t") == [(6,)]


def test_a_declared_type_that_the_database_does_not_have_is_told(load, execute):
    execute("CREATE TABLE t (id int, amount numeric)")
    with pytest.raises(JobFailure, match=r"amount as numric, and the database has no type of"):
        load("id,amount\n1,2\n", columns={"amount": "numric"})


# -- CSV: values --------------------------------------------------------------------------


def test_a_quoted_empty_field_is_no_value_where_the_type_has_no_empty_one(load, execute, query):
    execute(
        "CREATE TYPE mood AS ENUM ('good'); CREATE DOMAIN posint AS int CHECK (value > 0);"
        "CREATE TABLE t (i int, d date, n numeric, b bool, j jsonb, u uuid, a int[], m mood,"
        " p posint, s text, v varchar, y bytea)"
    )
    load("i,d,n,b,j,u,a,m,p,s,v,y\n" + ",".join(['""'] * 12) + "\n")
    assert query("SELECT * FROM t") == [(*[None] * 9, "", "", memoryview(b""))]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('a,b\n1,"he said \\"hi\\""\n', 2),
        ('a,b\n1,x\n2,5" pipe\n3,6" pipe\n', 3),
        ('a,b\n1, "x"\n', 2),
        ('a,b\n1,"x" \n', 2),
        ('a,b\n"l\n\n",y\n1,a"b"c\n', 5),
    ],
)
def test_a_quote_inside_a_field_is_an_error_with_its_line(load, execute, content, line):
    execute("CREATE TABLE t (a text, b text)")
    with pytest.raises(JobFailure, match=rf"in\.csv:{line}: a quote is inside a field"):
        load(content)


def test_a_quoted_field_that_never_ends_is_told_with_its_line(load, execute):
    execute("CREATE TABLE t (a text, b text)")
    with pytest.raises(JobFailure, match=r"in\.csv:3: a quoted field begins here"):
        load('a,b\n1,2\n3,"4\n5,6\n')


def test_quotes_line_breaks_and_delimiters_in_quotes_arrive_as_they_are(load, execute, query):
    values = ['"', '""', "a\nb", "a\r\nb", "\\.", ",", "\n\\.\n", '",\n"', "\\N", "\r"]
    execute("CREATE TABLE t (n int, v text)")
    rows = "".join(f'{n},"{v.replace(chr(34), chr(34) * 2)}"\n' for n, v in enumerate(values))
    assert load("n,v\n" + rows * 1) == len(values)
    assert query("SELECT v FROM t ORDER BY n") == [(v,) for v in values]


def test_large_files_with_quotes_across_blocks_lose_nothing(load, execute, query):
    execute("CREATE TABLE t (n int, v text)")
    rows = "".join(f'{n},"x{n}\n""y"", z"\r\n' for n in range(40_000))
    assert load("n,v\r\n" + rows) == 40_000
    assert query("SELECT count(*), count(DISTINCT v), min(length(v)), sum(n) FROM t") == [
        (40_000, 40_000, 9, 40_000 * 39_999 // 2)
    ]


def test_blank_lines_and_mixed_line_ends_are_no_records(load, execute, query):
    execute("CREATE TABLE t (a int, b text)")
    assert load('a,b\r\n\r\n1,x\n\n2,"y"\r\n\r\n3,z\n\n\n') == 3
    with pytest.raises(JobFailure, match=r"in\.csv:6: column a: invalid input"):
        load("a,b\n\n1,x\n\n\nq,z\n")
    assert load("a,b\r4,x\r5,y\r") == 2
    assert query("SELECT a, b FROM t ORDER BY a") == [
        (1, "x"), (2, "y"), (3, "z"), (4, "x"), (5, "y"),
    ]  # fmt: skip


def test_in_one_column_a_blank_line_is_a_row_without_a_value(load, execute, query):
    execute("CREATE TABLE t (a text)")
    assert load('a\nx\n\n""\n\\.\ny') == 5
    assert query("SELECT a FROM t") == [("x",), (None,), ("",), ("\\.",), ("y",)]


@pytest.mark.parametrize("date", ["03/02/2026", "25.12.2026", "3-2-2026", "03/02/04"])
def test_a_date_that_could_be_another_day_is_an_error(load, execute, query, date):
    execute("CREATE TABLE t (d date)")
    with pytest.raises(JobFailure, match=r"in\.csv:2: column d: .*year-month-day"):
        load(f"d\n{date}\n")
    with pytest.raises(JobFailure, match=r"in\.jsonl:1: column d: .*year-month-day|in\.jsonl:1"):
        load(json.dumps({"d": date}) + "\n", "in.jsonl")
    assert load("d\n2026-02-03\n03-Feb-2026\n2026-02-03\n") == 3
    assert query("SELECT DISTINCT d::text FROM t") == [("2026-02-03",)]


def test_the_order_of_dates_that_a_database_sets_is_used(load, execute, query, target):
    execute("CREATE TABLE t (d date)")
    execute(f"ALTER DATABASE \"{target.url.database}\" SET datestyle = 'ISO, DMY'")
    load("d\n03/02/2026\n")
    assert query("SELECT d::text FROM t") == [("2026-02-03",)]


# -- packing and encoding -----------------------------------------------------------------


def test_content_tells_how_a_file_is_packed_whatever_its_name(load, execute, query):
    execute("CREATE TABLE t (a int)")
    load(gzip.compress(b"a\n1\n"), "x.csv.GZ")
    load(gzip.compress(b"a\n2\n"), "x.csv")
    load("a\n3\n", "x.csv.gz")
    load(gzip.compress(b"a\n4\n") + gzip.compress(b"5\n"), "two.csv.gz")
    assert query("SELECT a FROM t ORDER BY a") == [(n,) for n in range(1, 6)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"a\n" + b"1\n" * 100_000, mtime=0)[:-9], "in.csv: is truncated"),
        (gzip.compress(b"a\n1\n", mtime=0)[:12], "in.csv: is truncated"),
        (gzip.compress(b"a\n1\n", mtime=0)[:-8] + b"\0" * 8, "in.csv: its gzip stream is damaged"),
        (b"\x28\xb5\x2f\xfd\x24\x04", "in.csv: is truncated: its zstd"),
        (bz2.compress(b"a\n" + b"1\n" * 9)[:-4], "in.csv: is truncated: its bzip2"),
        (bz2.compress(b"a\n1\n" * 9)[:20] + b"\0" * 9, "in.csv: its bzip2 stream is damaged"),
        (lzma.compress(b"a\n1\n")[:-8], "in.csv: is truncated: its xz"),
        (b"PK\x03\x04\x14\0", "in.csv: its zip stream is damaged"),
        (b"PAR1\0\0", "in.csv: is no whole Parquet file"),
        (b"7z\xbc\xaf\x27\x1c\0", "in.csv: is a 7z archive"),
        ("a\n1\n".encode("utf-16-le"), "in.csv:1: is UTF-16 without"),
        ("a\n1\nJosé\n".encode("latin-1"), "in.csv:3: is not UTF-8: byte 0xe9 .*encoding: latin1"),
        ("a\n“x”\n".encode("cp1252"), "in.csv:2: is not UTF-8: byte 0x93 .*encoding: windows-1252"),
        ("né\n1\n".encode("latin-1"), "in.csv:1: is not UTF-8"),
        (gzip.compress("a\n1\nJosé\n".encode("latin-1"), mtime=0), "in.csv:3: is not UTF-8"),
    ],
)
def test_a_file_that_is_cut_packed_or_written_otherwise_is_named(
    load, execute, query, content, told
):
    execute("CREATE TABLE t (a text)")
    with pytest.raises(JobFailure, match=told):
        load(content)
    assert query("SELECT count(*) FROM t") == [(0,)]


# -- accounting, replacing ----------------------------------------------------------------


def test_rows_that_a_trigger_keeps_away_are_counted_and_told(load, execute, query, caplog):
    execute("CREATE TABLE t (a int)")
    execute(
        "CREATE FUNCTION odd_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN CASE WHEN new.a % 2 = 1 THEN new END; END $$"
    )
    execute("CREATE TRIGGER o BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd_only()")
    with caplog.at_level("WARNING", "headrace.job"):
        assert load("a\n1\n2\n3\n") == 2
    assert "a trigger of t rejected 1 of 3 rows" in caplog.text


def test_readers_go_on_while_a_table_is_replaced_and_old_snapshots_keep_its_rows(
    load, execute, query, target
):
    execute("CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1), (2)")
    with target.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        reader.execute(text("SELECT a FROM t")).all()
        load("a\n2\n3\n4\n", mode="replace")
        assert reader.execute(text("SELECT a FROM t ORDER BY a")).all() == [(1,), (2,)]
    assert query("SELECT a FROM t ORDER BY a") == [(2,), (3,), (4,)]


def test_a_table_that_others_refer_to_is_replaced_by_key(load, execute, query):
    execute("CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    execute("CREATE TABLE child (a int REFERENCES t); INSERT INTO child VALUES (1)")
    load("a,b\n1,new\n3,z\n", mode="replace")
    assert query("SELECT a, b FROM t ORDER BY a") == [(1, "new"), (3, "z")]
    assert query("SELECT a FROM child") == [(1,)]


def test_a_sequence_goes_on_after_the_values_that_were_loaded(load, execute, query):
    execute("CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, a text)")
    load("id,a\n10,x\n")
    execute("INSERT INTO t (a) VALUES ('y')")
    assert query("SELECT max(id) FROM t") == [(11,)]


def test_a_missing_table_is_told_with_the_key_that_makes_it(load):
    with pytest.raises(JobFailure, match="there is no table t; `create: true` creates it"):
        load("a\n1\n")


def test_json_lists_and_objects_become_arrays_and_rows(load, execute, query):
    execute("CREATE TYPE place AS (name text, xy int[])")
    execute("CREATE TABLE t (a int[], b text[], p place, q place[], j jsonb[])")
    record = {
        "a": [[1, None], [3, 4]],
        "b": ["x,y", 'q"', "", None, "NULL", "{}", "\\"],
        "p": {"name": "a (b)", "xy": [1]},
        "q": [{"name": None, "xy": []}, None],
        "j": [{"a": 1}, "s", None],
    }
    load(json.dumps(record) + "\n", "in.jsonl")
    assert query("SELECT row_to_json(t)::jsonb FROM t") == [(record,)]
