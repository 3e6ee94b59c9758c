"""RunSql stores its query as a view, works as another role, and leaves alone what it only reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.run_sql import RunSql
from headrace.testing import FreshDatabase, RunOutcome, database, run_pipeline
from tests.support.roles import create_role

SALES = """
CREATE SCHEMA mart;
CREATE TABLE mart.sale (id int PRIMARY KEY, region text NOT NULL, amount numeric(10,2));
INSERT INTO mart.sale VALUES (1, 'eu', 1.5), (2, 'eu', 2), (3, 'us', 7);
"""
OID = "SELECT 'mart.answer'::regclass::oid"


@pytest.fixture
def sales(execute):
    execute(SALES)


def store(run_job, sql: str, kind: str, **more):
    return run_job(RunSql, sql=sql, into="mart.answer", materialized=kind, **more)


def test_a_view_answers_the_query_with_the_templates_values_as_constants(run_job, query, sales):
    sql = (
        "SELECT id, {{ params.label }}::text AS label FROM mart.sale WHERE region = {{ params.r }}"
    )
    result = store(run_job, sql, "view", params={"r": "eu", "label": "100% 'sure'"})

    assert result == {"into": "mart.answer", "materialized": "view"}
    assert query("SELECT * FROM mart.answer ORDER BY id") == [
        (1, "100% 'sure'"),
        (2, "100% 'sure'"),
    ]


def test_a_view_that_is_there_keeps_options_privileges_and_comments(run_job, query, execute, sales):
    execute(
        "CREATE VIEW mart.answer WITH (security_barrier, check_option = local) AS"
        " SELECT id FROM mart.sale WHERE id > 0;"
        " GRANT SELECT ON mart.answer TO PUBLIC; COMMENT ON VIEW mart.answer IS 'mine'"
    )
    kept = (
        "SELECT oid, relacl::text, reloptions::text, obj_description(oid) FROM pg_class"
        " WHERE oid = 'mart.answer'::regclass"
    )
    before = query(kept)

    store(run_job, "SELECT id FROM mart.sale WHERE id > 1", "view")

    assert query(kept) == before
    assert query("SELECT id FROM mart.answer ORDER BY 1") == [(2,), (3,)]


def test_a_view_gets_new_columns_only_if_the_step_says_so(run_job, query, sales):
    store(run_job, "SELECT id FROM mart.sale", "view")
    wider = "SELECT id, region FROM mart.sale"
    with pytest.raises(JobFailure, match=r"region \(text\) is new.*append_new_columns"):
        store(run_job, wider, "view")

    store(run_job, wider, "view", on_schema_change="append_new_columns")
    assert query("SELECT count(region) FROM mart.answer") == [(3,)]

    with pytest.raises(JobFailure, match="region is missing"):
        store(run_job, "SELECT id FROM mart.sale", "view", on_schema_change="append_new_columns")
    store(run_job, "SELECT id::text FROM mart.sale", "view", on_schema_change="recreate")
    assert query("SELECT id FROM mart.answer ORDER BY 1") == [("1",), ("2",), ("3",)]


@pytest.mark.parametrize(
    ("kind", "words", "with_"),
    [("view", "VIEW", "security_barrier=true"),
     ("materialized_view", "MATERIALIZED VIEW", "fillfactor=50")],
)  # fmt: skip
@pytest.mark.usefixtures("sales")
def test_a_view_that_is_dropped_and_created_again_keeps_its_options(
    run_job, query, execute, kind, words, with_, caplog
):
    execute(f"CREATE {words} mart.answer WITH ({with_}) AS SELECT id FROM mart.sale")

    store(run_job, "SELECT region FROM mart.sale", kind, on_schema_change="recreate")

    options = "SELECT reloptions::text FROM pg_class WHERE oid = 'mart.answer'::regclass"
    assert query(options) == [(f"{{{with_}}}",)]
    without = "privileges and indexes" if kind == "materialized_view" else "privileges"
    assert (
        f"mart.answer is dropped and created again, without its {without}: region (text) is new;"
        " id is missing"
    ) in caplog.messages


@pytest.mark.parametrize("kind", ["view", "materialized_view"])
def test_a_view_whose_columns_stay_is_not_dropped_whatever_the_step_allows(
    run_job, query, execute, sales, kind
):
    store(run_job, "SELECT id FROM mart.sale", kind)
    execute("GRANT SELECT ON mart.answer TO PUBLIC")
    kept = "SELECT relacl::text FROM pg_class WHERE oid = 'mart.answer'::regclass"
    before = query(kept)

    for sql in ("SELECT id FROM mart.sale WHERE id > 1",) * 2:
        store(run_job, sql, kind, on_schema_change="recreate")

    assert query(kept) == before
    assert query("SELECT id FROM mart.answer ORDER BY 1") == [(2,), (3,)]


RECREATE = "recreate (drops it with its privileges and creates it again)"


@pytest.mark.parametrize(
    ("kind", "sql", "change", "remedies"),
    [
        ("view", "SELECT id, region FROM mart.sale", "region (text) is new",
         f"append_new_columns, or {RECREATE}"),
        ("materialized_view", "SELECT id, region FROM mart.sale", "region (text) is new", RECREATE),
        ("view", "SELECT region, id FROM mart.sale", "region (text) is new", RECREATE),
        ("view", "SELECT id::text, region FROM mart.sale",
         'region (text) is new; id is "id" text, and was "id" integer', RECREATE),
    ],
)  # fmt: skip
def test_other_columns_of_a_query_are_told_with_what_a_view_can_do(
    run_job, query, sales, kind, sql, change, remedies
):
    store(run_job, "SELECT id FROM mart.sale", kind)

    with pytest.raises(JobFailure) as failure:
        store(run_job, sql, kind)

    assert str(failure.value) == (
        f"the query has other columns than mart.answer: {change}. Change the query, or set"
        f" on_schema_change: {remedies}"
    )


def test_a_table_is_never_taken_for_a_view(run_job, query, execute, sales):
    execute("CREATE TABLE mart.answer (id int); INSERT INTO mart.answer VALUES (9)")
    for kind in ("view", "materialized_view"):
        with pytest.raises(JobFailure, match=r"mart\.answer is a table, and not a"):
            store(run_job, "SELECT id FROM mart.sale", kind, on_schema_change="recreate")
    assert query("SELECT id FROM mart.answer") == [(9,)]


def test_a_view_of_a_temporary_table_is_refused(run_job, query, sales):
    sql = "CREATE TEMP TABLE scratch AS SELECT 1 AS n; SELECT n FROM scratch"
    with pytest.raises(Exception, match="temporary"):
        store(run_job, sql, "view")
    with pytest.raises(JobFailure, match="reads a temporary table"):
        run_job(RunSql, sql=sql, into="answer", materialized="view")


def test_a_materialized_view_with_the_same_query_is_refreshed(run_job, query, execute, sales):
    sql = "SELECT region, sum(amount) AS total FROM mart.sale GROUP BY region"
    assert store(run_job, sql, "materialized_view")["row_count"] == 2
    execute("CREATE UNIQUE INDEX answer_region ON mart.answer (region)")
    execute("INSERT INTO mart.sale VALUES (4, 'apac', 1)")
    before = query(OID)

    assert store(run_job, sql, "materialized_view")["row_count"] == 3
    assert query(OID) == before


def test_a_materialized_view_with_another_query_keeps_indexes_privileges_and_comments(
    run_job, query, execute, sales, caplog
):
    caplog.set_level("INFO")
    store(run_job, "SELECT id, region FROM mart.sale", "materialized_view")
    execute(
        'CREATE UNIQUE INDEX "Answer Id" ON mart.answer (id);'
        "CREATE INDEX answer_lower ON mart.answer (lower(region)) WHERE id > 1;"
        "GRANT SELECT (id) ON mart.answer TO PUBLIC; GRANT INSERT ON mart.answer TO PUBLIC;"
        "COMMENT ON MATERIALIZED VIEW mart.answer IS 'it''s mine';"
        "COMMENT ON COLUMN mart.answer.id IS 'key';"
        "COMMENT ON INDEX mart.\"Answer Id\" IS 'it''s found by this';"
        f"{create_role('reads')};"
        "GRANT ALL ON SCHEMA mart TO reads; GRANT ALL ON mart.sale TO reads;"
        "ALTER MATERIALIZED VIEW mart.answer OWNER TO reads"
    )
    kept = (
        "SELECT pg_get_userbyid(relowner), relacl::text, obj_description(c.oid),"
        " col_description(c.oid, 1),"
        " (SELECT string_agg(concat_ws(' ', pg_get_indexdef(indexrelid),"
        "   obj_description(indexrelid, 'pg_class')), ';' ORDER BY 1) FROM pg_index"
        "   WHERE indrelid = c.oid),"
        " (SELECT attacl::text FROM pg_attribute WHERE attrelid = c.oid AND attname = 'id')"
        " FROM pg_class c WHERE c.oid = 'mart.answer'::regclass"
    )
    before = query(kept)

    result = store(run_job, "SELECT id, region FROM mart.sale WHERE id > 1", "materialized_view")

    assert result["row_count"] == 2
    assert "The query of mart.answer has changed: it is made anew" in caplog.text
    assert query(kept) == before
    with pytest.raises(JobFailure, match=r"other columns than mart\.answer: their order\. Change"):
        store(run_job, "SELECT region, id FROM mart.sale", "materialized_view")
    with pytest.raises(JobFailure, match=r"total \(numeric\) is new"):
        store(run_job, "SELECT id, region, 1.0 AS total FROM mart.sale", "materialized_view")


def test_default_privileges_grant_nothing_that_the_old_view_did_not(run_job, query, execute, sales):
    execute(
        "CREATE MATERIALIZED VIEW mart.answer AS SELECT id FROM mart.sale;"
        "GRANT SELECT ON mart.answer TO PUBLIC;"
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC"
    )
    before = query("SELECT relacl::text FROM pg_class WHERE oid = 'mart.answer'::regclass")

    store(run_job, "SELECT id FROM mart.sale WHERE id > 1", "materialized_view")

    assert query("SELECT relacl::text FROM pg_class WHERE oid = 'mart.answer'::regclass") == before


def test_a_materialized_view_with_too_few_rows_is_not_exchanged(run_job, query, sales):
    store(run_job, "SELECT id FROM mart.sale", "materialized_view")

    with pytest.raises(JobFailure, match="0 rows have come"):
        store(run_job, "SELECT id FROM mart.sale WHERE false", "materialized_view",
              expect={"rows": ">0"})  # fmt: skip

    assert query("SELECT count(*) FROM mart.answer") == [(3,)]


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"materialized": "view"}, "materialized says what `into` is"),
        ({"materialized": "view", "into": "v", "expect": {"rows": 1}}, "a view stores no rows"),
        ({"materialized": "view", "into": "v", "on_schema_change": "ignore"}, "one of fail"),
        ({"materialized": "materialized_view", "into": "v", "expect": {"max_delete": 1}}, "tables"),
    ],
)
def test_keys_that_a_view_cannot_have_are_refused(with_, told):
    with pytest.raises(InvalidPayload, match=told):
        RunSql(sql="SELECT 1", **with_)


@pytest.fixture
def db() -> Iterator[FreshDatabase]:
    with database() as fresh:
        fresh.execute(SALES)
        yield fresh


def run(folder: Path, db: FreshDatabase, steps: str) -> RunOutcome:
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "p.yaml").write_text(f"name: p\nsteps:\n{steps}", encoding="utf-8")
    return run_pipeline("p", {}, database=db, project=folder)


def test_a_view_whose_rows_do_not_pass_their_checks_is_never_seen(tmp_path, db):
    outcome = run(tmp_path, db, """
  - id: publish
    job: RunSql
    retry: {limit: 0}
    with:
      sql: select region, sum(amount) as total from mart.sale group by region
      into: mart.totals
      materialized: view
      checks: [{invalid: {column: total, valid_max: 5}}]
""")  # fmt: skip

    assert "total" in str(outcome.steps["publish"].error)
    assert db.rows("SELECT to_regclass('mart.totals') AS found") == [{"found": None}]
