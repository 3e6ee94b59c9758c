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
