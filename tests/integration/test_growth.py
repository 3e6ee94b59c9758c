"""What stays cheap as runs and jobs grow: plans, retention, a run of many steps, bulk dispatch."""

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from headrace.engine.application import Headrace
from headrace.engine.operations.retention import keep_retention, pause_s, prune
from headrace.engine.operations.totals import count_all
from headrace.errors import InvalidPayload
from headrace.model.ids import first_id_of
from headrace.model.plan import Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.status import Trigger
from tests.support.servers import connect
from tests.support.web import client_of, installation


@pytest.fixture
def headrace(database: str, redis_url: str, tmp_path: Path) -> Iterator[Headrace]:
    with installation(database, redis_url, tmp_path) as found:
        yield found


@pytest.fixture
def client(headrace: Headrace) -> Iterator[TestClient]:
    with client_of(headrace) as found:
        yield found


def sql(headrace: Headrace, text: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(connect(headrace.database_url)) as line, line.cursor() as cursor:
        cursor.execute(text, values or None)
        rows = cursor.fetchall() if cursor.description else []
        line.commit()
        return rows


def transaction(headrace: Headrace) -> Any:
    """Return a connection whose first statement begins a transaction."""
    line = connect(headrace.database_url)
    line.autocommit = False
    return closing(line)


def plan_of(width: int, day: int = 1) -> Plan:
    """A first step, and many that wait for it; the arguments are those of a day."""
    shared: dict[str, Any] = {
        "job_class": "Fibonacci", "queue": "medium", "retry": RetryPolicy(), "timeout_s": 60.0,
        "payload": {"n": day},
    }  # fmt: skip
    items = [PlannedJob(step=f"each[{n}]", depends_on=("first",), **shared) for n in range(width)]
    steps = (PlannedJob(step="first", **shared), *items)
    return Plan("wide", "1", {}, datetime(2026, 1, day, tzinfo=UTC), steps)


# -- plans ----------------------------------------------------------------------------------------


def test_runs_that_are_planned_alike_share_one_stored_plan(headrace: Headrace):
    runs = [headrace.dispatcher.start_run(plan_of(3, day), Trigger.API) for day in (1, 2, 3)]
    other = headrace.dispatcher.start_run(plan_of(4), Trigger.API)

    rows = [headrace.database.row("run", id=run["id"]) for run in (*runs, other)]
    plans = [row["plan_id"] for row in rows if row]
    assert plans[0] == plans[1] == plans[2] != plans[3]
    ((steps,),) = sql(headrace, "SELECT steps FROM headrace.plan WHERE id = %s", str(plans[0]))
    assert [(step["step"], step.get("items"), step.get("depends_on")) for step in steps] == [
        ("first", None, None),
        ("each", 3, ["first"]),
    ]
    ((longest,),) = sql(headrace, "SELECT max(pg_column_size(plan)) FROM headrace.run")
    assert longest < 200


# -- retention ------------------------------------------------------------------------------------


def end(headrace: Headrace, run: Any, status: str = "completed") -> None:
    sql(
        headrace,
        "UPDATE headrace.job SET status = %s, finished_at = now() WHERE run_id = %s",
        status,
        str(run["id"]),
    )
    sql(
        headrace,
        "UPDATE headrace.run SET status = %s, finished_at = now() WHERE id = %s",
        status,
        str(run["id"]),
    )


def test_prune_deletes_runs_with_all_that_is_theirs_and_plans_of_none(headrace: Headrace):
    old, young = (headrace.dispatcher.start_run(plan_of(n), Trigger.API) for n in (2, 3))
    end(headrace, old)
    job = headrace.database.rows("jobs_of_run", run_id=old["id"])[0]["id"]
    sql(
        headrace,
        "INSERT INTO headrace.job_attempt (job_id, attempt, outcome) VALUES (%s, 1, 'failed');"
        "INSERT INTO headrace.job_log VALUES (%s, 1, 1, now(), 'info', 'x');"
        "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, finished_at)"
        " VALUES (gen_random_uuid(), 1, 'failed', now() - interval '3 days')",
        str(job),
        str(job),
    )
    sql(headrace, "UPDATE headrace.plan SET made_at = now() - interval '2 days'")

    pruned = prune(headrace.database, 0)

    assert (pruned.runs, pruned.jobs) == (1, 3)
    for table in ("job_attempt", "job_log"):
        assert sql(headrace, f"SELECT count(*) FROM headrace.{table}") == [(0,)]
    assert sql(headrace, "SELECT count(*) FROM headrace.job_dependency") == [(3,)]
    assert sql(headrace, "SELECT id::text FROM headrace.run") == [(str(young["id"]),)]
    assert sql(headrace, "SELECT count(*) FROM headrace.plan") == [(1,)]


def test_prune_forgets_what_pruned_runs_have_triggered_and_been_triggered_by(headrace: Headrace):
    old, young = (headrace.dispatcher.start_run(plan_of(1), Trigger.API) for _ in range(2))
    end(headrace, old)
    gone = first_id_of(time.time() - 3 * 86400)
    for waiting, upstream, started in (
        ("by-old", old["id"], young["id"]),
        ("by-young", young["id"], old["id"]),
        ("both-old", old["id"], old["id"]),
        ("by-gone", gone, None),
    ):
        sql(
            headrace,
            "INSERT INTO headrace.triggered (pipeline, upstream_run, outcome, run_id, used_at)"
            " VALUES (%s, %s, 'started', %s, now() - interval '2 days')",
            waiting,
            str(upstream),
            started and str(started),
        )

    prune(headrace.database, 0)

    left = sql(headrace, "SELECT pipeline, upstream_run::text, run_id FROM headrace.triggered")
    assert left == [("by-young", str(young["id"]), None)]


def test_prune_passes_over_a_run_that_somebody_reopens(headrace: Headrace):
    held, free = (headrace.dispatcher.start_run(plan_of(2), Trigger.API) for _ in range(2))
    for run in (held, free):
        end(headrace, run, "failed")
    # While the transaction is open nothing that ends can be counted, or deleted.
    count_all(headrace.database)
    with transaction(headrace) as line, line.cursor() as cursor:
        cursor.execute(
            "UPDATE headrace.job SET status = 'waiting' WHERE run_id = %s AND step = 'first'",
            (str(held["id"]),),
        )

        pruned = prune(headrace.database, 0)

        line.commit()
    assert (pruned.runs, pruned.jobs) == (1, 3)
    assert sql(
        headrace, "SELECT count(*) FROM headrace.job WHERE run_id = %s", str(held["id"])
    ) == [(3,)]
    assert prune(headrace.database, 0).runs == 0


def test_old_logs_are_deleted_and_their_jobs_and_younger_logs_are_kept(headrace: Headrace):
    made: dict[str, str] = {}
    for name, status, ended in (
        ("old", "failed", -31),
        ("young", "completed", -29),
        ("running", "started", None),
    ):
        job_id = str(first_id_of(time.time() - 40 * 86400 + len(made)))
        made[job_id] = name
        sql(
            headrace,
            "INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry,"
            " finished_at) VALUES (%s, 'FailedJob', '{}', %s, 'low', 1, '{}',"
            " now() + make_interval(days => %s))",
            job_id,
            status,
            ended,
        )
        sql(headrace, "INSERT INTO headrace.job_log VALUES (%s, 1, 1, now(), 'info', 'x')", job_id)

    pruned = keep_retention(headrace.database, None, 30 * 86400)

    assert (pruned.runs, pruned.jobs, pruned.logs) == (0, 0, 1)
    assert sql(headrace, "SELECT count(*) FROM headrace.job") == [(3,)]
    left = sql(headrace, "SELECT job_id::text FROM headrace.job_log")
    assert {made[row[0]] for row in left} == {"young", "running"}


def test_prune_keeps_a_run_that_a_job_outside_waits_for(headrace: Headrace):
    run = headrace.dispatcher.start_run(plan_of(1), Trigger.API)
    upstream = headrace.database.rows("jobs_of_run", run_id=run["id"])[0]["id"]
    waits = headrace.dispatcher.dispatch("Fibonacci", {"n": 1}, depends_on=str(upstream))
    end(headrace, run)

    assert prune(headrace.database, 0).runs == 0

    sql(headrace, "UPDATE headrace.job SET status = 'cancelled' WHERE id = %s", waits)
    assert prune(headrace.database, 0).runs == 1


def test_prune_looks_among_old_ids_and_at_those_of_a_clock_that_was_wrong(headrace: Headrace):
    made = {}
    for name, made_at, ended in (
        ("old", -9, -3),
        ("made long ago, ended just now", -9, -1),
        ("young", -1, -1),
        ("of tomorrow", 2, -3),
    ):
        run_id = str(first_id_of(time.time() + made_at * 86400 + 7))
        made[run_id] = name
        sql(
            headrace,
            "INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan,"
            " finished_at)"
            " VALUES (%s, 'p', '1', 'completed', 'manual', now(), '{}',"
            " now() + make_interval(days => %s))",
            run_id,
            ended,
        )
        sql(
            headrace,
            "INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry,"
            " finished_at)"
            " VALUES (%s, 'FailedJob', '{}', 'failed', 'low', 1, '{}',"
            " now() + make_interval(days => %s))",
            run_id,
            ended,
        )

    pruned = prune(headrace.database, 2 * 86400)

    assert (pruned.runs, pruned.jobs) == (2, 2)
    for table in ("run", "job"):
        left = {made[row[0]] for row in sql(headrace, f"SELECT id::text FROM headrace.{table}")}
        assert left == {"made long ago, ended just now", "young"}


def test_prune_takes_a_tenth_of_the_time_while_jobs_wait_or_run():
    assert pause_s(0.02, busy=False) == pytest.approx(0.005)
    assert pause_s(0.02, busy=True) == pytest.approx(0.18)
    assert pause_s(2.0, busy=True) == 1.0


def test_prune_sees_whether_jobs_wait_or_run(headrace: Headrace):
    def busy() -> bool:
        between = {"after": UUID(int=0), "until": UUID(int=(1 << 128) - 1)}
        (done,) = headrace.database.rows("prune_jobs", older_than_s=0, limit=1, **between)
        return bool(done["busy"])

    assert not busy()
    headrace.dispatcher.dispatch("Fibonacci", {"n": 1})
    assert busy()
    sql(headrace, "UPDATE headrace.job SET status = 'started'")
    assert busy()
    sql(headrace, "UPDATE headrace.job SET status = 'completed', finished_at = now()")
    assert not busy()


# -- a run of many steps --------------------------------------------------------------------------


def test_a_run_of_many_steps_is_answered_in_pages(headrace: Headrace, client: TestClient):
    run = headrace.dispatcher.start_run(plan_of(12), Trigger.API)
    path = f"/runs/{run['id']}"

    shown = client.get(path, params={"limit": 5}).json()
    jobs, cursor = shown["jobs"], shown["next"]
    while cursor:
        page = client.get(f"{path}/jobs", params={"limit": 5, "cursor": cursor}).json()
        jobs, cursor = jobs + page["items"], page["next"]

    assert shown["counts"] == {"queued": 1, "waiting": 12}
    assert [job["step"] for job in jobs] == ["first", *(f"each[{n}]" for n in range(12))]
    assert jobs[12]["depends_on"] == [jobs[0]["id"]]
    assert len(client.get(path).json()["jobs"]) == 13
    assert client.get(f"{path}/jobs", params={"cursor": "x"}).status_code == 422
    assert client.get(f"{path}/jobs", params={"changed_since": "x"}).status_code == 422


def test_who_has_seen_a_run_asks_for_what_has_changed(headrace: Headrace, client: TestClient):
    run = headrace.dispatcher.start_run(plan_of(4), Trigger.API)
    path = f"/runs/{run['id']}"
    shown = client.get(path).json()
    ((moment,),) = sql(headrace, "SELECT clock_timestamp()")
    now = moment.isoformat()
    nothing = client.get(path, params={"changed_since": now}).json()
    # A change counts from its transaction's commit on, however long that takes.
    with transaction(headrace) as line, line.cursor() as cursor:
        cursor.execute(
            "UPDATE headrace.job SET status = 'cancelled', updated_at = clock_timestamp()"
            " WHERE id = %s",
            (shown["jobs"][3]["id"],),
        )
        meanwhile = client.get(path, params={"changed_since": now}).json()
        line.commit()

    after = client.get(f"{path}/jobs", params={"changed_since": meanwhile["as_of"]}).json()

    assert (nothing["jobs"], meanwhile["jobs"]) == ([], [])
    changed = [job["step"] for job in after["items"] if job["status"] == "cancelled"]
    assert changed == ["each[2]"]
    again = client.get(f"{path}/jobs", params={"changed_since": after["as_of"]}).json()
    assert (again["items"], again.keys()) == ([], after.keys())


# -- dispatch -------------------------------------------------------------------------------------


def test_a_bulk_dispatch_has_rows_and_messages_in_the_order_of_its_payloads(headrace: Headrace):
    payloads = [{"n": n, "name": 'it\'s {1,2} \\ "%s" ü'} for n in range(2500)]
    payloads[3]["n"] = 12345678901234567890

    ids = headrace.dispatcher.dispatch_many("Fibonacci", ({"n": one["n"]} for one in payloads))

    assert ids == sorted(ids)
    rows = sql(headrace, "SELECT id::text, payload ->> 'n', status FROM headrace.job ORDER BY id")
    assert rows == [
        (one, str(payload["n"]), "queued") for one, payload in zip(ids, payloads, strict=True)
    ]
    assert headrace.sender.lengths(["medium"]) == {"medium": 2500}
    queued = headrace.database.rows("overdue_messages", older_than_s=0)
    assert {str(row["id"]) for row in queued} == set(ids)


def test_a_bulk_dispatch_with_one_wrong_payload_dispatches_none(headrace: Headrace):
    with pytest.raises(InvalidPayload, match="takes a whole number"):
        headrace.dispatcher.dispatch_many("Fibonacci", [{"n": 1}, {"n": "x"}])

    assert headrace.dispatcher.dispatch_many("Fibonacci", []) == []
    assert sql(headrace, "SELECT count(*) FROM headrace.job") == [(0,)]
