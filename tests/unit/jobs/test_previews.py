"""What jobs tell of their statements before they run: `BaseJob.preview`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace import jobapi
from headrace.engine.catalog.job_registry import Registry
from headrace.errors import RefusedSql
from headrace.jobapi.folders import Folders
from headrace.jobs.base import BaseJob
from headrace.template import Preview


class Nowhere:
    """No statement may be sent by a preview."""

    def session(self, *_given: object, **_named: object) -> Any:
        raise AssertionError("a preview asked for a session")

    statements = autocommit = aside = batch = snapshot = other = other_alone = session

    def kind_of(self, _connection: str | None) -> jobapi.Kind:
        return "postgresql"


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[Path]:
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    folders = Folders(tmp_path, tmp_path, sql=(Path("jobs/sql").resolve(),))
    jobapi.enter(
        jobapi.Attempt("j", 1, tmp_path, folders, Nowhere(), step="s", logical_date=moment)
    )
    yield tmp_path
    jobapi.enter(None)


def preview(name: str, **with_: Any) -> list[Preview]:
    job: BaseJob = Registry().make(name, with_)
    return list(job.preview())


def texts(name: str, **with_: Any) -> list[str]:
    return [" ".join(one.sql.display.split()) for one in preview(name, **with_)]


STAGE = 'CREATE TEMPORARY TABLE "headrace_staged_rows" ON COMMIT DROP AS'
STAGED = 'pg_temp."headrace_staged_rows"'
TABLE = {"table": "s.t"}
EVERY: dict[str, tuple[dict[str, Any], list[str]]] = {
    "PopulateRecords": ({"sql_path": "a.sql"}, ["SELECT 1", "SELECT 2"]),
    "SlowQuery": ({"duration": 1}, ["SELECT pg_sleep(:p1)"]),
    "TruncateTable": (TABLE, ['TRUNCATE TABLE "s"."t" RESTART IDENTITY CASCADE']),
    "DropTable": (TABLE, ['DROP TABLE "s"."t"']),
    "VacuumTable": (TABLE, ['VACUUM (ANALYZE) "s"."t"']),
    "RebuildIndex": (TABLE, ['REINDEX TABLE CONCURRENTLY "s"."t"']),
    "DataAggregation": (
        {"table": "s.t", "group_by": "a", "into": "m.u"},
        [
            f'{STAGE} SELECT "a", count(*) AS "row_count" FROM "s"."t" GROUP BY "a"',
            'DELETE FROM "m"."u"',
            f'INSERT INTO "m"."u" ("all_columns") SELECT "all_columns" FROM {STAGED}',
        ],
    ),
    "ExportQuery": (
        {"path": "a.csv", "sql": "SELECT 1"},
        [
            (
                "COPY ( SELECT 1 ) TO STDOUT"
                " WITH (FORMAT csv, DELIMITER :p1, NULL :p2, HEADER :p3, ENCODING 'UTF8')"
            )
        ],
    ),
    "CheckData": (
        {"table": "s.t", "not_null": ["a"], "min_rows": 1, "sql": "SELECT 2"},
        [
            (
                'SELECT count(*) FILTER (WHERE (checked."a" IS NULL)) AS bad, count(*) AS total'
                ' FROM (SELECT * FROM "s"."t") AS checked'
            ),
            'SELECT count(*) AS value FROM "s"."t"',
            "SELECT 2",
        ],
    ),
    "LoadFile": (
        {"path": "a.csv", "table": "t", "mode": "replace"},
        [
            (
                'COPY pg_temp."headrace_staged_rows" ("x", "y") FROM STDIN '
                "WITH (FORMAT csv, DELIMITER :p1, NULL :p2, ENCODING 'UTF8')"
            ),
            'DELETE FROM "t"',
            'INSERT INTO "t" ("x", "y") SELECT "x", "y" FROM pg_temp."headrace_staged_rows"',
        ],
    ),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_job_tells_its_statements_in_order(name: str, project: Path) -> None:
    (project / "a.sql").write_text("SELECT 1; SELECT 2;")
    (project / "a.csv").write_text("x,y\n1,2\n")
    with_, expected = EVERY[name]
    assert texts(name, **with_) == expected


def test_columns_that_only_the_catalogue_knows_are_told_so() -> None:
    archived = preview("ArchiveRows", table="t", into="u", column="at", older_than="1d")
    assert archived[1].sql.binds == {"p1": "2026-01-30T00:00:00+00:00"}
    assert archived[2].note == "the columns of t are read from the catalog"
    synced = preview("SyncTable", source_table="t", target_table="u", key="id")
    assert "are read from the catalog" in synced[0].note
    known = preview("MirrorTable", source_table="t", target_table="u", columns=["a"])
    assert known[0].note == ""
    loaded = preview("LoadFile", path="missing.csv", table="t")
    assert loaded[0].note == "the columns are read from missing.csv"


@pytest.mark.parametrize("columns", [["y", "x"], {"y": "text", "x": "text"}])
@pytest.mark.parametrize(("header", "copied"), [(True, '("x", "y")'), (False, '("y", "x")')])
def test_a_load_tells_the_columns_in_the_order_of_its_file(
    project: Path, columns: object, header: bool, copied: str
) -> None:
    (project / "a.csv").write_text("x,y\n1,2\n")
    told = texts("LoadFile", path="a.csv", table="t", columns=columns, header=header)
    assert told[0].startswith(f'COPY "t" {copied} FROM STDIN')


@pytest.mark.parametrize(
    ("with_", "known"),
    [
        ({"path": "no.csv", "columns": ["y", "x"]}, False),
        ({"path": "no.csv", "columns": ["y", "x"], "header": False}, True),
        ({"path": "no.csv", "columns": {"y": "text", "x": "text"}, "header": False}, True),
        ({"path": "no.jsonl", "format": "jsonl", "columns": ["y", "x"]}, True),
        ({"path": "no.jsonl", "format": "jsonl", "columns": {"y": "text"}}, False),
    ],
)
def test_a_load_knows_its_columns_before_the_file_is_there_where_no_header_can_reorder_them(
    with_: dict[str, object], known: bool
) -> None:
    copy = preview("LoadFile", table="t", **with_)[0]
    assert ('("y", "x")' in copy.sql.display) is known
    assert (copy.note == "") is known


def test_each_statement_of_a_copy_between_databases_names_its_own() -> None:
    copied = preview(
        "MirrorTable", source_table="t", target_table="u", source_connection="a", connection="b"
    )
    assert [one.connection for one in copied] == ["a", "b", "b", "b"]


def test_a_statement_knows_the_line_on_which_it_begins(project: Path) -> None:
    (project / "a.sql").write_text("-- One.\nSELECT 1;\n\nSELECT\n  2;\n")
    lines = [one.source and one.source.line for one in preview("RunSql", sql_path="a.sql")]
    assert lines == [1, 4]


@pytest.mark.parametrize("materialized", ["table", "view", "materialized_view"])
def test_what_is_stored_has_the_place_of_its_query(project: Path, materialized: str) -> None:
    (project / "a.sql").write_text("SELECT 1;\n\nSELECT 2 AS n\n")

    told = preview("RunSql", sql_path="a.sql", into="s.t", materialized=materialized)

    plain = preview("RunSql", sql_path="a.sql")
    assert told[1].source == plain[1].source
    assert told[1].source is not None
    assert told[1].source.line == 3


def test_what_the_job_would_refuse_its_preview_refuses_too() -> None:
    for with_ in ({"sql": "COMMIT"}, {"sql": "VACUUM t"}, {"sql": "DELETE FROM t", "into": "u"}):
        with pytest.raises(RefusedSql, match=r"COMMIT is not|VACUUM|into"):
            preview("RunSql", **with_)


def test_a_job_of_ones_own_tells_the_sql_of_its_parameters_or_nothing() -> None:
    class Own(BaseJob):
        def __init__(self, sql: str | None = None, **kwargs: Any) -> None:
            self.own = sql
            super().__init__(**kwargs)

    assert [one.sql.display for one in Own(sql="SELECT 1").preview()] == ["SELECT 1"]
    assert list(Own().preview()) == []


def test_a_load_tells_the_sql_around_it_and_how_staged_rows_are_appended(project: Path) -> None:
    (project / "a.csv").write_text("x,y\n1,2\n")
    told = preview(
        "LoadFile", path="a.csv", table="s.t", on_schema_change="ignore",
        pre_sql="DELETE FROM a", post_sql="DELETE FROM b; DELETE FROM c", connection="dwh",
    )  # fmt: skip
    first, copy, insert, *last = told

    assert [" ".join(one.sql.display.split()) for one in (first, insert, *last)] == [
        "DELETE FROM a",
        f'INSERT INTO "s"."t" ("x", "y") SELECT "x", "y" FROM {STAGED}',
        "DELETE FROM b",
        "DELETE FROM c",
    ]
    assert copy.sql.display.startswith(f'COPY {STAGED} ("x", "y") FROM STDIN')
    assert [one.connection for one in told] == ["dwh"] * 5
    assert [one.unexplained for one in (first, *last)] == [
        "", "it follows what the step writes", "it follows what the step writes"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "with_", "told"),
    [
        ("AnalyzeTable", {"table": "s.t", "columns": ["a"]}, ['ANALYZE "s"."t" ("a")']),
        ("AnalyzeTable", {"schema": "s"}, []),
        (
            "SyncTable",
            {"source_sql": "SELECT 1 AS id", "target_table": "u", "primary_key": "id"},
            ["SELECT * FROM (SELECT 1 AS id"],
        ),
        (
            "CheckData",
            {"table": "t", "checks": [{"failed_rows": {"query": "SELECT 3"}}]},
            ["SELECT 3"],
        ),
    ],
)
def test_what_a_job_sends_first_is_told(name: str, with_: dict[str, Any], told: list[str]) -> None:
    found = texts(name, **with_)
    assert [one[: len(begin)] for one, begin in zip(found, told, strict=False)] == told
    assert bool(found) == bool(told)


@pytest.mark.parametrize(
    ("name", "with_", "told", "note"),
    [
        (
            "ExportQuery",
            {"path": "a.csv", "sql": "SELECT 1", "connection": "there"},
            ["SELECT 1"],
            "",
        ),
        (
            "SyncTable",
            {"source_table": "s.t", "target_table": "u", "primary_key": "id", "where": "id > 1",
             "source_connection": "there"},
            ['SELECT * FROM "s"."t" WHERE (id > 1 )'],
            "its rows go to u by key",
        ),
        (
            "SyncTable",
            {"source_sql": "SELECT 1 AS id", "target_table": "u", "primary_key": "id",
             "source_connection": "there"},
            ["SELECT * FROM (SELECT 1 AS id ) AS source_sql"],
            "its rows go to u by key",
        ),
    ],
)  # fmt: skip
def test_what_another_database_is_sent_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, with_: dict[str, Any], told: list[str], note: str
) -> None:
    monkeypatch.setattr(Nowhere, "kind_of", lambda *_given: "sqlite")
    found = preview(name, **with_)
    assert [" ".join(one.sql.display.split()) for one in found] == told
    assert found[0].note == note


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"into": "u"}, ["CREATE TABLE", "CREATE TEMPORARY TABLE", "INSERT INTO", "DELETE FROM"]),
        ({"into": "u", "keep_rows": True},
         ["CREATE TABLE", "CREATE TEMPORARY TABLE", "INSERT INTO"]),
        ({"path": "a.csv"}, ["CREATE TEMPORARY TABLE", "DELETE FROM"]),
    ],
)  # fmt: skip
def test_old_rows_are_inserted_where_a_table_takes_them_and_deleted_if_they_go(with_, told):
    found = texts("ArchiveRows", table="t", column="at", older_than="1d", **with_)
    words = ("CREATE TABLE", "CREATE TEMPORARY TABLE", "INSERT INTO", "DELETE FROM")
    assert [word for text in found for word in words if word in text] == told


def test_a_text_without_a_statement_is_told_by_its_name(project: Path) -> None:
    (project / "a.sql").write_text("-- Nothing yet.\n")
    for with_, place in (({"sql": " ; "}, "sql"), ({"sql_path": "a.sql"}, "a.sql")):
        with pytest.raises(RefusedSql, match=f"^{place}: contains no statement$"):
            preview("RunSql", **with_)
        with pytest.raises(RefusedSql, match=f"^{place}: contains no statement$"):
            preview("ExportQuery", path="a.csv", **with_)


def test_a_job_of_ones_own_that_only_begins_says_what_it_lacks() -> None:
    class Begun(BaseJob):
        pass

    with pytest.raises(NotImplementedError, match=r"^Begun has no handle\(\)$"):
        Begun().handle()
    assert Begun().forecast() is None
