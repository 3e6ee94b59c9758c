import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from headrace.errors import RefusedSql, TemplateError
from headrace.jobs.run_sql import RunSql
from headrace.store.direct_statements import DirectStatements
from headrace.template import render
from tests.support.generated import budget

storable = st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))


def test_a_select_answers_with_columns_and_rows_that_fit_json(run_job):
    result = run_job(
        RunSql,
        sql="""SELECT 1 AS n, 1.50 AS d, 'x' AS t, NULL AS nothing, date '2024-02-29' AS day,
                      time '12:30:45' AS at, interval '1 hour' AS span, '{"a": [1]}'::jsonb AS j,
                      ARRAY[1, 2] AS list, true AS yes, 'a%' AS percent,
                      '00000000-0000-0000-0000-000000000001'::uuid AS id""",
    )

    assert result["row_count"] == 1
    assert result["rows"] == [
        {
            "n": 1,
            "d": 1.5,
            "t": "x",
            "nothing": None,
            "day": "2024-02-29",
            "at": "12:30:45",
            "span": 3600.0,
            "j": {"a": [1]},
            "list": [1, 2],
            "yes": True,
            "percent": "a%",
            "id": "00000000-0000-0000-0000-000000000001",
        }
    ]
    assert result["columns"] == list(result["rows"][0])


def test_a_large_result_is_counted_and_its_first_rows_kept(run_job):
    result = run_job(RunSql, sql="SELECT * FROM generate_series(1, 5000) AS n")

    assert result["row_count"] == 5000
    assert [row["n"] for row in result["rows"]] == list(range(1, 101))


def test_the_last_statements_outcome_is_the_result(run_job, query):
    result = run_job(
        RunSql,
        sql="CREATE TABLE t (a int); INSERT INTO t SELECT generate_series(1, 5); "
        "DELETE FROM t WHERE a > {{ params.most }};",
        params={"most": 2},
    )

    assert result == {"row_count": 3}
    assert query("SELECT count(*) FROM t") == [(2,)]


@budget(60)
@given(storable)
def test_any_text_comes_back_from_the_server_as_it_was(run_job, value):
    result = run_job(RunSql, sql="SELECT {{ params.v }}::text AS v", params={"v": value})

    assert result["rows"] == [{"v": value}]


def test_rendered_sql_means_the_same_to_sqlalchemys_text_and_to_the_driver(target):
    sql = render(
        r"SELECT {{ a }}::text, ':x \: \:y', '12:30:45'::time::text, E'\\:z',"
        """ '{"k:l": 1}'::jsonb, 'a%' LIKE 'a%%', '%(p1)s %s'""",
        {"a": "b:c %s"},
    )

    with target.connect() as connection:
        by_text = connection.execute(text(sql.text), sql.binds).one()
        by_driver = connection.exec_driver_sql(sql.pyformat, dict(sql.binds)).one()

    expected = ("b:c %s", r":x \: \:y", "12:30:45", r"\:z", {"k:l": 1}, True, "%(p1)s %s")
    assert tuple(by_text) == tuple(by_driver) == expected


def test_the_template_sees_the_run(run_job):
    result = run_job(
        RunSql,
        sql="SELECT {{ run.id }} AS id, {{ logical_date }}::date AS day, {{ job.attempt }} AS n",
    )

    assert result["rows"] == [{"id": "run-1", "day": "2026-01-31", "n": 1}]


def test_into_stores_the_rows_as_a_table(run_job, query):
    with_ = {"sql": "SELECT n, {{ params.x }}::text AS x FROM generate_series(1, {{ params.n }}) n"}

    for count in (3, 2):
        result = run_job(RunSql, **with_, into="mart.numbers", params={"x": "y", "n": count})
        assert result == {"row_count": count, "into": "mart.numbers"}

    assert query("SELECT * FROM mart.numbers") == [(1, "y"), (2, "y")]


def test_nothing_of_a_script_stays_when_its_end_fails(run_job, query):
    with pytest.raises(ProgrammingError, match="not_there"):
        run_job(RunSql, sql="CREATE TABLE t (a int); SELECT * FROM not_there")

    assert query("SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize("sql", ["COMMIT", "SELECT 1; ROLLBACK", "BEGIN; SELECT 1", "END"])
def test_transaction_control_is_refused_before_anything_runs(run_job, query, sql):
    with pytest.raises(RefusedSql, match="not allowed in a job's SQL"):
        run_job(RunSql, sql=f"CREATE TABLE t (a int); {sql}")

    assert query("SELECT to_regclass('t')") == [(None,)]


def test_vacuum_is_refused_with_the_remedy_and_runs_with_it(run_job, execute):
    execute("CREATE TABLE t (a int)")

    with pytest.raises(RefusedSql, match="set transaction: false"):
        run_job(RunSql, sql="VACUUM t")

    result = run_job(
        RunSql, sql="VACUUM t; CREATE INDEX CONCURRENTLY i ON t (a)", transaction=False
    )
    assert result == {"row_count": 0}


@pytest.mark.parametrize(
    ("with_", "error", "told"),
    [
        ({"sql": "SELECT {{ params.a }}"}, TemplateError, r"^sql:1: 'a' is undefined"),
        ({"sql": "-- nothing"}, RefusedSql, "contains no statement"),
        ({"sql": "UPDATE t SET a = 1", "into": "x"}, RefusedSql, "needs a SELECT"),
        ({"sql": "SELECT 1", "into": "x; DROP TABLE y"}, RefusedSql, "not an identifier"),
    ],
)
def test_a_mistake_in_the_sql_is_told_clearly(run_job, with_, error, told):
    with pytest.raises(error, match=told):
        run_job(RunSql, **with_)


@pytest.mark.parametrize(
    ("sql", "streamed"),
    [
        ("WITH n AS (SELECT generate_series(1, 9) AS i) SELECT * FROM n", True),
        ("(WITH n AS (SELECT 1 AS i) SELECT * FROM n)", True),
        ("WITH n AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM n", False),
        ("WITH n AS (SELECT 1 AS i) INSERT INTO t SELECT * FROM n", False),
    ],
)
def test_a_query_that_begins_with_with_is_streamed_where_it_only_reads(
    run_job, execute, monkeypatch, sql, streamed
):
    execute("CREATE TABLE t (a int)")
    sent: list[bool] = []
    run = DirectStatements.run

    def noted(self, text, values, *, stream, **named):
        sent.append(stream)
        return run(self, text, values, stream=stream, **named)

    monkeypatch.setattr(DirectStatements, "run", noted)

    run_job(RunSql, sql=sql)

    assert sent == [streamed]
