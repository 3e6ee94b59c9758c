"""LoadFile with files of every format, packing and form that people have."""

import bz2
import datetime
import gzip
import io
import json
import lzma
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from sqlalchemy import Engine, event

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import Permissions
from headrace.jobapi.outbound.allowed_hosts import HostRefused
from headrace.jobs.load_file import LoadFile
from tests.support.attempts import JobRunner, engine_for
from tests.support.http import Answered, http_server
from tests.support.roles import create_role

PLAIN = "id,name,amount,day\n1,José,1.50,2026-02-03\n2,,-7,\n"
ROWS = [(1, "José", "1.50", "2026-02-03"), (2, None, "-7.00", None)]


@pytest.fixture
def run_job(target: Engine, tmp_path: Path) -> JobRunner:
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


@pytest.fixture
def load(run_job: JobRunner, tmp_path: Path, execute):
    """Load a file into an empty table t, and return the rows as text."""
    execute("CREATE TABLE t (id int, name text, amount numeric(12,2), day date)")

    def load(content: str | bytes, name: str = "in.csv", **with_: Any) -> dict[str, Any]:
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(raw)
        result: dict[str, Any] = run_job(LoadFile, **{"path": name, "table": "t", **with_})
        return result

    return load


@pytest.fixture
def rows(query, execute):
    """Return what the table holds as text, and empty it."""

    def rows() -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = query(
            "SELECT id, name, amount::text, day::text FROM t ORDER BY id"
        )
        execute("TRUNCATE t")
        return found

    return rows


def zipped(**files: bytes) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return whole.getvalue()


def test_every_packing_is_read_by_its_content_whatever_the_name(load, rows):
    raw = PLAIN.encode()
    zstd = zstandard.ZstdCompressor()
    packed = {
        "gz": gzip.compress(raw),
        "bz2": bz2.compress(raw),
        "xz": lzma.compress(raw),
        "zst": zstd.compress(raw),
        "zst frames": zstd.compress(raw[:30]) + zstd.compress(raw[30:]),
        "zip": zipped(data_csv=raw),
        "bz2 streams": bz2.compress(raw[:30]) + bz2.compress(raw[30:]),
    }
    for content in packed.values():
        load(content)
        assert rows() == ROWS
    load(packed["zst"], "x.csv.gz")
    assert rows() == ROWS


def test_a_packed_file_that_is_cut_or_holds_more_than_one_is_named(load, rows):
    raw = PLAIN.encode() * 500
    for content, told in (
        (zstandard.ZstdCompressor().compress(raw)[:-20], r"x\.csv: is truncated: its zstd"),
        (zipped(a_csv=raw)[:-30], r"x\.csv: its zip stream is damaged"),
        (zipped(a_csv=raw, b_csv=raw), r"the zip archive holds 2 files \(a\.csv, b\.csv\)"),
        (zipped(), "holds 0 files"),
    ):
        with pytest.raises(JobFailure, match=told):
            load(content, "x.csv")
    assert rows() == []


def test_text_is_read_in_the_encoding_that_is_named_or_that_its_mark_says(load, rows):
    for encoding in ("latin1", "WIN1252", "utf-16", "cp1252"):
        load(PLAIN.encode(encoding.replace("WIN", "cp")), encoding=encoding)
        assert rows() == ROWS
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        load(PLAIN.encode(encoding))
        assert rows() == ROWS
    load(PLAIN.encode("utf-16-le"), encoding="utf-16-le")
    assert rows() == ROWS
    with pytest.raises(JobFailure, match=r"in\.csv:2: is not ASCII: byte 0xc3.*set encoding"):
        load(PLAIN, encoding="ascii")
    with pytest.raises(InvalidPayload, match="encoding: 'klingon' is not known"):
        load(PLAIN, encoding="klingon")


@pytest.mark.parametrize(
    ("content", "with_"),
    [
        ("id;name;amount;day\n1;José;1,50;03.02.2026\n2;;-7;\n",
         {"delimiter": ";", "decimal": ",", "columns": {"day": {"format": "DD.MM.YYYY"}}}),
        ("id;name;amount;day\n1;José;1,50;3.2.2026\n2;;-7;\n",
         {"delimiter": ";", "decimal": ",", "thousands": ".",
          "columns": {"day": {"type": "date", "format": "DD.MM.YYYY"}}}),
        ("# made by hand\n# 2\nid,name,amount,day\n#1,no\n1,José,1.5,2026-02-03\n#\n2,,-7,\n#end",
         {"comment": "#"}),
        ("Report of today\n\nid,name,amount,day\n1,José,1.5,2026-02-03\n2,,-7,\n",
         {"skip_lines": 2}),
        ("id,name,amount,day\n1,José,1.5,2026-02-03\n2,NA,-7,-\n", {"null": ["NA", "-", ""]}),
        ('"id","name","amount","day"\n"1","José","1.5","2026-02-03"\n"2",NA,"-7",""\n',
         {"null": ["NA", ""]}),
        ("'id','name','amount','day'\n'1','José','1.5','2026-02-03'\n'2',,'-7',''\n",
         {"quote": "'"}),
        ("id\tname\tamount\tday\n1\tJosé\t1.5\t2026-02-03\n2\t\t-7\t\n", {"format": "tsv"}),
        ("Nr,name,card,amount,day\n1,José,4111,1.5,2026-02-03\n2,,4112,-7,\n",
         {"select": ["-card", "Nr as id"]}),
        ("Nr,name,card,amount,day\n1,José,4111,1.5,2026-02-03\n2,,4112,-7,\n",
         {"select": ["Nr AS id", "name", "amount", "day"]}),
        ("ID,Name ,AmountName,Day\n1,José,1.5,2026-02-03\n2,,-7,\n",
         {"select": ["AmountName as amount"], "normalize_names": "snake_case"}),
        ("1,José,1.5,2026-02-03\n2,,-7,\n",
         {"header": False, "columns": ["id", "name", "amount", "day"]}),
    ],
)  # fmt: skip
def test_csv_is_read_in_the_form_that_is_described(load, rows, content, with_):
    load(content, **with_)
    assert rows() == ROWS


def test_an_escape_character_stands_before_quotes_and_itself(load, query):
    load('id,name\n1,"he said \\"hi\\", \\\\o/"\n2,"two\nlines"\n', escape="\\")
    assert query("SELECT name FROM t ORDER BY id") == [('he said "hi", \\o/',), ("two\nlines",)]


def test_comments_and_blank_lines_are_left_out_beside_an_escape_character_and_counted(load, query):
    content = '#!\nid,name\n1,"a \\"b\\""\n\n# no row\n2,"two\n# words"\n#\n3,c\n'
    load(content, escape="\\", comment="#", metadata=["_line"])
    assert query("SELECT id, name, _line FROM t ORDER BY id") == [
        (1, 'a "b"', 3), (2, "two\n# words", 6), (3, "c", 9)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "with_", "told"),
    [
        ("id;amount\n1;1,5\n2;1.5\n", {"delimiter": ";", "decimal": ",", "thousands": "."},
         r"in\.csv:3: column amount: '1\.5' is not a number with the decimal mark ','"),
        ("id,day\n1,2026-02-03\n", {"columns": {"day": {"format": "DD.MM.YYYY"}}},
         r"in\.csv:2: column day: '2026-02-03' is not a date written as DD\.MM\.YYYY"),
        ('id,name,day\n1,"a\nb",03.02.2026\n\n2,,31.02.2026\n',
         {"columns": {"day": {"format": "DD.MM.YYYY"}}}, r"in\.csv:5: column day: date/time"),
        ("# x\nid,name,id\n", {"comment": "#"}, r"in\.csv:2: the column 'id' occurs twice"),
        ("id,name\n1,x\n", {"select": ["-nam"]}, r"in\.csv:1: has no column 'nam', which `select`"),
        ("id,ID\n1,x\n", {"normalize_names": "snake_case"}, "id and ID both become 'id'"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_in_that_form_is_told_with_its_line(load, rows, content, with_, told):
    with pytest.raises(JobFailure, match=told):
        load(content, **with_)
    assert rows() == []


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        (
            {"header": False, "columns": ["id", "name"], "select": ["-name"]},
            "select and normalize_names are for names of a header",
        ),
        ({"quote": ","}, "delimiter, quote, escape and comment must differ"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands must differ"),
        ({"columns": {"d": {"format": "DD.MM.YY"}}}, "two digits does not say which century"),
        ({"columns": {"d": {"format": "DD.MM"}}}, "needs YYYY, MM and DD"),
        ({"columns": {"d": {"form": "x"}}}, "neither type nor format"),
        ({"null": []}, "null is empty"),
        ({"select": ["a", "-b"]}, "select takes 'a' and leaves out 'b'"),
    ],
)
def test_a_form_that_contradicts_itself_is_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        LoadFile("in.csv", "t", **with_)


# -- JSON documents -------------------------------------------------------------------------


def test_a_json_document_is_read_one_record_at_a_time_with_its_lines(load, rows):
    records = [
        {"id": 1, "name": "José", "amount": 1.50, "day": "2026-02-03"},
        {"id": 2, "name": None, "amount": -7, "day": None},
    ]
    for text in (json.dumps(records), json.dumps(records, indent=2), f" \n{records[0]}"[:0] or
                 json.dumps(records, ensure_ascii=False)):  # fmt: skip
        load(text, "in.json")
        assert rows() == ROWS
    load(json.dumps(records[0]), "one.json")
    assert len(rows()) == 1
    load("[]", "none.json")
    big = [{"id": n, "name": "x" * 3000} for n in range(1000)]
    load(json.dumps(big), "big.json")
    assert len(rows()) == 1000


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('[{"id": 1},\n {"id": "x"}]', r"in\.json:2: column id: invalid input syntax"),
        ('[{"id": 1},\n {"id": 2}', r"in\.json:2: the document ends early where a comma"),
        ('[{"id": 1},\n {"id": ', r"in\.json:2: no JSON: the document ends early"),
        ('[{"id": 1},\n {"id" 2}]' + " " * 99, r"in\.json:2: no JSON: Expecting"),
        ('[{"id": 1}] [', r"more behind the end of the list"),
        ("[1]", r"in\.json:1: no JSON object but 1"),
        ("", r"in\.json: is empty"),
        ('"text"', r"begins with '\"'"),
        ('{"id": 1}\n{"id": 2}\n', r"format: jsonl"),
    ],
)
def test_a_json_document_that_is_damaged_is_told_with_its_line(load, rows, content, told):
    with pytest.raises(JobFailure, match=told):
        load(content, "in.json")
    assert rows() == []


def test_select_and_formats_hold_for_json_too(load, rows):
    record = {"Nr": 1, "name": "José", "amount": 1.50, "day": "03.02.2026", "card": 4111}
    other = {"Nr": 2, "name": None, "amount": -7, "day": None, "card": None}
    load(
        f"{json.dumps(record)}\n{json.dumps(other)}\n",
        "in.jsonl",
        select=["-card", "Nr as id"],
        columns={"day": {"format": "DD.MM.YYYY"}},
    )
    assert rows() == ROWS


# -- Parquet and spreadsheets ---------------------------------------------------------------


def parquet(**columns: Any) -> bytes:
    whole = io.BytesIO()
    pq.write_table(pa.table(columns), whole)
    return whole.getvalue()


def test_parquet_is_read_whatever_types_it_has(load, rows, tmp_path):
    days = [datetime.date(2026, 2, 3), None]
    typed = {
        "id": pa.array([1, 2], pa.int64()),
        "name": pa.array(["José", None]).dictionary_encode(),
        "amount": pa.array(["1.50", "-7.00"], pa.string()).cast(pa.decimal128(12, 2)),
        "day": pa.array(days, pa.date32()),
    }
    texts = {"day": ["2026-02-03", None], "amount": ["1.5", "-7"], "name": ["José", None]}
    noon = [datetime.datetime(2026, 2, 3, 0, 0), None]
    floats = {"amount": pa.array([1.5, -7.0]), "day": pa.array(noon, pa.timestamp("ns"))}
    for columns in (typed, typed | texts, typed | floats):
        load(parquet(**columns), "in.parquet")
        assert rows() == ROWS
    load(parquet(**typed), "no_name")
    assert rows() == ROWS
    load(gzip.compress(parquet(**typed)), "in.parquet.gz")
    assert rows() == ROWS
    with pytest.raises(JobFailure, match=r"in\.parquet: is no whole Parquet file"):
        load(parquet(**typed)[:-20], "in.parquet")
    with pytest.raises(JobFailure, match="t has no column 'nota'"):
        load(parquet(nota=[1]), "in.parquet")


def test_a_parquet_file_without_rows_is_loaded_as_such(load, rows):
    whole = io.BytesIO()
    pq.ParquetWriter(whole, pa.schema([("id", pa.int64()), ("name", pa.string())])).close()

    assert load(whole.getvalue(), "in.parquet")["row_count"] == 0
    assert rows() == []


def test_nested_values_of_parquet_become_arrays_and_json(load, execute, query):
    execute("ALTER TABLE t ADD tags text[], ADD info jsonb, ADD raw bytea")
    content = parquet(id=[1], tags=[["a", "b,c"]], info=[{"k": [1, None]}], raw=[b"\x00\xff"])
    load(content, "in.parquet")
    assert query("SELECT tags, info, raw::text FROM t") == [
        (["a", "b,c"], {"k": [1, None]}, "\\x00ff")
    ]


def test_a_sheet_is_read_by_name_or_number(load, rows):
    book = openpyxl.Workbook()
    first = book.active
    first.append(["nothing here"])
    sheet = book.create_sheet("Data")
    sheet.append(["Report"])
    sheet.append(["id", "name", "amount", "day"])
    sheet.append([1, "José", 1.5, datetime.date(2026, 2, 3)])
    sheet.append([2, None, -7, None])
    whole = io.BytesIO()
    book.save(whole)
    for given in ("Data", 2):
        load(whole.getvalue(), "in.xlsx", sheet=given, skip_lines=1)
        assert [row[:3] for row in rows()] == [row[:3] for row in ROWS]
    with pytest.raises(JobFailure, match="has no sheet 'Date'; its sheets: Sheet, Data"):
        load(whole.getvalue(), "in.xlsx", sheet="Date")
    with pytest.raises(JobFailure, match="its zip stream is damaged"):
        load(whole.getvalue()[:900], "in.xlsx")


# -- several files --------------------------------------------------------------------------


def test_a_pattern_or_a_folder_means_its_files_in_order(load, rows, run_job, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "b.csv").write_text("name,id\nb,2\n")
    (tmp_path / "in" / "a.csv").write_text("id,name,amount\n1,a,5\n")
    (tmp_path / "in" / ".hidden.csv").write_text("nonsense")
    (tmp_path / "in" / "deep" / "c.csv.gz").write_bytes(gzip.compress(b"id\n3\n"))
    assert run_job(LoadFile, path="in/*.csv", table="t")["files"] == 2
    assert [row[:3] for row in rows()] == [(1, "a", "5.00"), (2, "b", None)]
    assert run_job(LoadFile, path="in/**/*.csv*", table="t")["row_count"] == 3
    rows()
    result = run_job(LoadFile, path="in", table="t", mode="replace", metadata=["_file", "_line"])
    assert result == {"row_count": 2, "table": "t", "files": 2}
    with pytest.raises(JobFailure, match=r"in/\*\.tsv: no file matches"):
        run_job(LoadFile, path="in/*.tsv", table="t")


def test_each_file_is_loaded_once_by_its_content(run_job, tmp_path, load, query, caplog):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("id\n1\n")

    def once() -> dict[str, Any]:
        result: dict[str, Any] = run_job(LoadFile, path="in/*", table="t", new_files_only=True)
        return result

    assert once()["row_count"] == 1
    assert once() == {"row_count": 0, "table": "t", "files": 0}
    (tmp_path / "in" / "copy.csv").write_text("id\n1\n")
    with caplog.at_level("WARNING", "headrace.job"):
        assert once()["row_count"] == 0
    told = "in/copy.csv is not loaded: its content was loaded before, from in/a.csv"
    assert told in caplog.text
    (tmp_path / "in" / "a.csv").write_text("id\n1\n2\n")
    assert once()["files"] == 1
    (tmp_path / "in" / "bad.csv").write_text("id\nx\n")
    with pytest.raises(JobFailure, match=r"in/bad\.csv:2"):
        once()
    assert query("SELECT id FROM t ORDER BY id") == [(1,), (1,), (2,)]
    assert query("SELECT path, size_bytes FROM headrace.loaded_file ORDER BY 2") == [
        ("in/a.csv", 5),
        ("in/a.csv", 7),
    ]


def test_a_role_that_cannot_record_loaded_files_is_told_what_it_lacks(
    run_job, target, execute, tmp_path, query
):
    (tmp_path / "a.csv").write_text("id\n1\n")
    with_ = {"path": "a.csv", "table": "t", "new_files_only": True}
    execute("CREATE TABLE t (id int)")
    run_job(LoadFile, **with_)
    execute("DROP ROLE IF EXISTS records_nothing")
    execute(create_role("records_nothing"))
    execute("GRANT ALL ON t TO records_nothing")
    execute("REVOKE ALL ON SCHEMA headrace FROM PUBLIC")
    as_role = engine_for(target.url.render_as_string(hide_password=False))
    event.listen(
        as_role, "connect", lambda raw, _: raw.cursor().execute("SET ROLE records_nothing")
    )
    run_job.engines[None] = as_role
    remedy = ""
    try:
        for told in (
            'GRANT USAGE ON SCHEMA headrace TO "?records_nothing',
            "GRANT SELECT, INSERT ON",
        ):
            with pytest.raises(JobFailure, match=told) as refused:
                run_job(LoadFile, **with_)
            remedy = str(refused.value).partition("owner of the schema run ")[2]
            execute(remedy.partition(";")[0])
        assert run_job(LoadFile, **with_)["row_count"] == 0
    finally:
        as_role.dispose()
        execute("DROP OWNED BY records_nothing; DROP ROLE records_nothing")


@pytest.mark.parametrize("mode", ["append", "replace", "merge"])
def test_rows_say_where_they_come_from(load, query, run_job, tmp_path, execute, mode):
    execute("ALTER TABLE t ADD PRIMARY KEY (id)")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text('id,name\n1,"two\nlines"\n\n2,y\n')
    (tmp_path / "in" / "b.jsonl").write_text('\n{"id": 3, "name": "z"}\n')
    (tmp_path / "in" / "c.parquet").write_bytes(parquet(id=[4], name=["w"]))
    every = ["_loaded_at", "_file", "_line", "_run_id"]
    run_job(LoadFile, path="in", table="t", mode=mode, metadata=every)
    assert query("SELECT id, _file, _line, _run_id FROM t ORDER BY id") == [
        (1, "in/a.csv", 2, "run-1"),
        (2, "in/a.csv", 5, "run-1"),
        (3, "in/b.jsonl", 2, "run-1"),
        (4, "in/c.parquet", 1, "run-1"),
    ]
    assert query("SELECT count(DISTINCT _loaded_at) FROM t") == [(1,)]
    run_job(LoadFile, path="in/b.jsonl", table="t", mode="merge", metadata=every)


def test_without_the_extra_plain_files_are_loaded_and_others_say_what_to_install(
    load, rows, monkeypatch
):
    for module in ("pyarrow", "pgpq", "zstandard", "python_calamine"):
        monkeypatch.setitem(sys.modules, module, None)
    load(PLAIN)
    assert rows() == ROWS
    load(gzip.compress(b'{"id": 1, "name": "x"}\n'), "in.jsonl.gz")
    assert len(rows()) == 1
    for content, name, with_ in (
        (b"PAR1\x00\x00\x00\x00", "in.parquet", {}),
        (b"\x28\xb5\x2f\xfd\x24\x04\x00", "in.csv.zst", {}),
        (PLAIN.encode(), "in.csv", {"decimal": ","}),
    ):
        with pytest.raises(JobFailure, match=r"which is not installed: pip install 'headrace"):
            load(content, name, **with_)


def test_a_file_on_an_allowed_host_is_downloaded_whole_and_loaded(run_job, rows, load):
    with http_server() as server:
        whole = gzip.compress(PLAIN.encode())
        server.routes["/in.csv.gz"] = Answered(whole)
        server.routes["/cut.csv"] = Answered(raw=b"HTTP/1.1 200 OK\r\n\r\nid,name\n1,x\n")
        server.routes["/none.csv"] = Answered(status=404)
        with pytest.raises(HostRefused, match=r"not among http\.allowed_hosts"):
            run_job(LoadFile, path=server.url("/in.csv.gz"), table="t")
        run_job.permissions = Permissions(allowed_hosts=("127.0.0.1",))
        url = server.url("/in.csv.gz")
        done = run_job(LoadFile, path=f"{url}?token=secret", table="t", metadata=["_file"])
        assert done["row_count"] == 2
        assert rows() == ROWS
        for path, told in (("/cut.csv", "whole"), ("/none.csv", "404")):
            with pytest.raises(JobFailure, match=told):
                run_job(LoadFile, path=server.url(path), table="t")
        assert rows() == []


QUICK = {
    "smallint": "1", "integer": "-7", "bigint": "9007199254740993", "real": "1.5",
    "double precision": "0.1", "boolean": "t", "text": "größe", "varchar(20)": "a", "char(3)": "ab",
    "numeric(12,2)": "-1.25", "date": "2026-02-03", "time": "04:05:06.7",
    "timestamp": "1969-12-31 23:59:59.999999", "timestamptz": "2026-02-03 04:05:06.123456+02",
    "jsonb": "[1]",
}  # fmt: skip


@pytest.mark.parametrize("kind", QUICK)
def test_values_of_plain_types_are_read_once_and_go_in_binary(
    kind, run_job, tmp_path, execute, query, caplog
):
    execute(f"CREATE TABLE t (id int, v {kind})")
    (tmp_path / "in.csv").write_text(f"id,v\n1,{QUICK[kind]}\n2,\n")
    with caplog.at_level("DEBUG", "headrace.job"):
        run_job(LoadFile, path="in.csv", table="t")
    assert "read as text" not in caplog.text
    assert query(f"SELECT count(*) FROM t WHERE v = '{QUICK[kind]}'") == [(1,)]
