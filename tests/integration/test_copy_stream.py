"""The stream between two servers: what goes over it, and how it ends."""

import threading
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.mirror_table import MirrorTable
from tests.integration.test_jobs_between_servers import rows, run

MANY = 200_000
WITH: dict[str, Any] = {
    "source_table": "source",
    "target_table": "target",
    "source_connection": "there",
}


@pytest.fixture
def there(run_job, second):
    run_job.engines["there"] = second
    return second


def test_values_go_in_binary_where_both_servers_have_the_same_form_of_all(
    run_job, there, query, caplog
):
    caplog.set_level("INFO")
    run(there, "CREATE TABLE source AS SELECT i, i / 7.0 AS n, '{1,2}'::int[] AS a, now() AS at,"
        f" 'é' || i AS t FROM generate_series(1, {MANY}) AS i")  # fmt: skip

    assert run_job(MirrorTable, **WITH)["row_count"] == MANY

    assert "Copying source in binary" in caplog.text
    sums = "SELECT count(*), sum(hashtext(s::text)) FROM {} AS s"
    assert query(sums.format("target")) == rows(there, sums.format("source"))


def test_values_whose_form_another_server_may_read_otherwise_go_as_text(
    run_job, there, query, caplog
):
    caplog.set_level("INFO")
    for engine in (there, run_job.engines[None]):
        run(engine, "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TYPE pair AS (a int, b text)",
            "CREATE DOMAIN posint AS int")  # fmt: skip
    values = {"mood": "sad", "pair": "(1,x)", "posint": "1", "regclass": "pg_class",
              "interval": "1 mon"}  # fmt: skip
    for kind, value in values.items():
        run(there, f"CREATE TABLE from_{kind} AS SELECT '{value}'::{kind} AS v")

        run_job(
            MirrorTable, **WITH | {"source_table": f"from_{kind}", "target_table": f"to_{kind}"}
        )

        assert f"Copying from_{kind} as text" in caplog.text
        assert query(f"SELECT v::text FROM to_{kind}") == [(value,)]


def test_a_source_that_fails_in_the_middle_leaves_the_target_as_it_was(run_job, there, query):
    run(there, f"CREATE VIEW source AS SELECT i, 1 / ({MANY} - i) AS n"
        f" FROM generate_series(1, {MANY}) AS i")  # fmt: skip
    run(run_job.engines[None], "CREATE TABLE target (i int, n int)")

    with pytest.raises(Exception, match="division by zero"):
        run_job(MirrorTable, **WITH)

    assert query("SELECT count(*) FROM target") == [(0,)]


def test_a_source_that_is_cut_off_in_the_middle_is_no_end(run_job, there, query):
    end = "CASE WHEN i = 150000 THEN pg_terminate_backend(pg_backend_pid()) END"
    run(there, f"CREATE VIEW source AS SELECT i, {end} AS n FROM generate_series(1, {MANY}) AS i")

    with pytest.raises(Exception, match=r"terminat|closed the connection"):
        run_job(MirrorTable, **WITH)

    assert query("SELECT to_regclass('target')") == [(None,)]


def test_a_target_that_refuses_a_row_stops_the_source_at_once(run_job, there, query):
    run(there, f"CREATE VIEW source AS SELECT generate_series(1, {MANY * 1000}) AS i")
    run(run_job.engines[None], "CREATE TABLE target (i int CHECK (i < 1000))")

    with pytest.raises(JobFailure, match="violates check constraint"):
        run_job(MirrorTable, **WITH)

    assert query("SELECT count(*) FROM target") == [(0,)]
    assert not [one for one in threading.enumerate() if one.name == "headrace-copy-out"]
