"""How jobs and runs are inserted: the statements alone, beside rows that were there before."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

ONE = {"job_class": "Load", "queue": "low", "timeout_s": 2.5, "retry": '{"limit": 3}'}
DATE = "2026-07-01 00:00:00+00:00"


def row_of(made: RunRows, table: str, row: str, columns: Iterable[str]) -> dict[str, Any]:
    """Return columns of a row as JSON would write them."""

    def written(value: Any) -> str:
        return str(value.astimezone(UTC) if isinstance(value, datetime) else value)

    (found,) = made.rows.sql(
        f"SELECT {', '.join(columns)} FROM headrace.{table} WHERE id = %(id)s", id=row
    )
    return dict(json.loads(json.dumps(found, default=written)))


def in_order(count: int) -> list[UUID]:
    return sorted(new_id() for _ in range(count))


# -- single jobs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["insert_job", "insert_job_id", "insert_dependent_job"])
def test_a_key_is_good_for_one_job_and_no_key_for_any_number(made: RunRows, statement: str) -> None:
    below = statement == "insert_dependent_job"

    def insert(key: str | None) -> tuple[UUID, list[Any]]:
        more = {"deps_left": 2} if below else {}
        job = new_id()
        values = {**ONE, "payload": '{"n": 1}', "idempotency_key": key, **more}
        return job, made.rows.database.rows(statement, id=job, **values)

    jobs = {}
    for key in ("a", "b", None, None):
        job, told = insert(key)
        jobs[job] = key
        assert [row["id"] for row in told] == [job]
    assert insert("a")[1] == []
    columns = ("idempotency_key", "job_class", "payload", "status", "queue", "timeout_s", "retry")
    status = "waiting" if below else "queued"
    for job, key in jobs.items():
        assert made.of("job", job, *columns) == (
            key, "Load", {"n": 1}, status, "low", 2.5, {"limit": 3},
        )  # fmt: skip
        assert made.of("job", job, "deps_left") == (2 if below else 0)
        assert (made.of("job", job, "queued_at") is None) == below, "one that waits is not queued"
    first = next(iter(jobs))
    found = made.rows.database.rows("job_by_key", idempotency_key="a")
    assert [row["id"] for row in found] == [first]
    assert made.rows.sql("SELECT count(*) AS jobs FROM headrace.job") == [{"jobs": 4}]


def test_a_job_is_noted_at_those_above_it_and_nowhere_else(made: RunRows) -> None:
    ups = [made.job(None, status, dependents=3) for status in ("started", "completed")]
    other, job = made.job(None, "started"), made.job()

    locked = made.rows.database.rows("lock_upstream", ids=[*ups, UUID(int=1)])
    made.rows.database.rows("note_dependant", ids=ups)
    made.rows.database.rows("insert_dependencies", id=job, upstream=ups)

    assert [(row["id"], row["status"]) for row in locked] == [
        (ups[0], "started"), (ups[1], "completed"),
    ]  # fmt: skip
    assert [made.of("job", one, "dependents") for one in (*ups, other, job)] == [4, 4, 0, 0]
    edges = made.rows.sql("SELECT * FROM headrace.job_dependency ORDER BY upstream_id")
    assert edges == [{"upstream_id": up, "job_id": job} for up in ups]


def test_many_jobs_differ_in_their_payloads_alone(made: RunRows) -> None:
    ids = in_order(3)
    payloads: list[Any] = [{"n": 1}, {}, {"text": "it's"}]

    made.rows.database.rows("insert_many_jobs", ids=ids, payloads=json.dumps(payloads), **ONE)

    columns = ("payload", "job_class", "status", "queue", "timeout_s", "retry", "attempt")
    for job, payload in zip(ids, payloads, strict=True):
        assert made.of("job", job, *columns) == (
            payload, "Load", "queued", "low", 2.5, {"limit": 3}, 0,
        )  # fmt: skip
        assert made.of("job", job, "queued_at", "run_id", "deps_left")[1:] == (None, 0)
        assert made.of("job", job, "queued_at") is not None


# -- runs -----------------------------------------------------------------------------------------


def test_steps_begin_where_nothing_is_above_them_and_nothing_holds_them(made: RunRows) -> None:
    run = made.run()
    plain = {
        "job_class": "Load", "queue": "low", "timeout_s": 2.5, "run_id": str(run), "pipeline": "p",
        "late": True, "trigger_rule": "all_done", "when_expr": "x", "allow_failure": True,
        "folder": "sub", "logical_date": DATE, "handler": "finally", "pool": "few",
        "pool_slots": 2, "env": {"A": "b"}, "needs": 5, "timezone": "Asia/Tokyo", "dependents": 7,
    }  # fmt: skip
    ids = in_order(4)
    states = [(0, False), (0, True), (1, False), (1, True)]
    jobs = [
        {**plain, "id": str(job), "step": f"s{number}", "deps_left": left, "held": held,
         "payload": {"n": number}, "retry": {"limit": 1}}
        for number, (job, (left, held)) in enumerate(zip(ids, states, strict=True))
    ]  # fmt: skip
    jobs[1] |= {"payload": '{"n": 1}', "retry": '{"limit": 1}'}

    made.rows.database.rows("insert_jobs", jobs=json.dumps(jobs))

    for number, (job, (left, _held)) in enumerate(zip(ids, states, strict=True)):
        assert row_of(made, "job", str(job), plain) == plain
        assert made.of("job", job, "step", "payload", "retry", "deps_left", "attempt") == (
            f"s{number}", {"n": number}, {"limit": 1}, left, 0,
        )  # fmt: skip
    assert [made.of("job", job, "status") for job in ids] == ["queued", *["waiting"] * 3]
    queued = [made.of("job", job, "queued_at") is not None for job in ids]
    assert queued == [True, False, False, False]
    edges = [{"upstream_id": ids[0], "job_id": ids[number]} for number in (2, 3)]
    made.rows.database.rows("insert_edges", edges=json.dumps(edges, default=str))
    assert made.rows.sql("SELECT * FROM headrace.job_dependency ORDER BY job_id") == edges


def run_of(**more: Any) -> dict[str, Any]:
    usual = {
        "id": str(new_id()), "pipeline": "p", "version": "v", "trigger": "schedule",
        "logical_date": DATE, "params": {"n": 1}, "plan": {"folder": "sub"}, "plan_id": None,
        "concurrency_group": None, "concurrency_limit": None, "has_handlers": False,
        "parent_job": None, "notify": None, "expected": None,
    }  # fmt: skip
    return {**usual, **more}


def insert(made: RunRows, *runs: dict[str, Any], term: int | None = None) -> list[str]:
    rows = made.rows.database.rows("insert_runs", runs=json.dumps(runs), term=term)
    return [str(row["id"]) for row in rows]


def test_a_run_that_is_limited_waits_for_its_turn_and_another_runs(made: RunRows) -> None:
    parent, plan = made.job(), new_id()
    made.rows.sql("INSERT INTO headrace.plan VALUES (%(id)s, '[]')", id=str(plan))
    free = run_of()
    limited = run_of(
        concurrency_group="g", concurrency_limit=2, has_handlers=True, parent_job=str(parent),
        notify={"to": ["a"]}, expected={"": {}}, plan_id=str(plan), trigger="manual",
    )  # fmt: skip

    assert insert(made, free, limited) == [free["id"], limited["id"]]

    for run, status in ((free, "running"), (limited, "queued")):
        assert row_of(made, "run", run["id"], run) == run
        run_id = UUID(run["id"])
        assert made.of("run", run_id, "status", "term") == (status, None)
        assert (made.of("run", run_id, "started_at") is None) == (status == "queued")


def test_an_instant_of_a_schedule_has_one_run_and_one_by_hand_any_number(made: RunRows) -> None:
    first = run_of()
    assert insert(made, first) == [first["id"]]

    others = [
        run_of(trigger="schedule"), run_of(trigger="backfill"), run_of(trigger="manual"),
        run_of(trigger="manual"), run_of(pipeline="q"), run_of(logical_date="2026-07-02"),
        run_of(trigger="pipeline"),
    ]  # fmt: skip

    assert insert(made, *others) == [run["id"] for run in others[2:]]


def test_only_the_daemon_that_leads_starts_the_runs_of_its_term(made: RunRows) -> None:
    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    mine = run_of()

    assert insert(made, run_of(), term=2) == []
    assert insert(made, mine, term=1) == [mine["id"]]
    assert made.of("run", UUID(mine["id"]), "term") == 1
    made.rows.database.rows("give_up_lease", holder="one")
    assert insert(made, run_of(logical_date="2026-07-03"), term=1) == []
    by_hand = run_of(trigger="manual")
    assert insert(made, by_hand) == [by_hand["id"]]


def test_a_key_belongs_to_a_run_of_its_pipeline(made: RunRows) -> None:
    mine, other = made.run(), made.run()
    elsewhere = made.run(pipeline="q")
    made.rows.database.rows("keep_run_key", id=mine, idempotency_key="k")
    made.rows.database.rows("keep_run_key", id=elsewhere, idempotency_key="k")
    made.rows.database.rows("keep_run_key", id=other, idempotency_key="another")

    found = {
        (pipeline, key): [
            row["id"]
            for row in made.rows.database.rows("run_by_key", pipeline=pipeline, idempotency_key=key)
        ]
        for pipeline in ("p", "q")
        for key in ("k", "another")
    }

    assert found == {
        ("p", "k"): [mine], ("p", "another"): [other], ("q", "k"): [elsewhere],
        ("q", "another"): [],
    }  # fmt: skip


def test_a_plan_that_is_there_is_not_stored_again(made: RunRows) -> None:
    known, new = new_id(), new_id()
    plans = [{"id": str(known), "steps": '["a"]'}]
    made.rows.database.rows("add_plans", plans=json.dumps(plans))

    both = [{"id": str(known), "steps": '["b"]'}, {"id": str(new), "steps": '["c"]'}]
    made.rows.database.rows("add_plans", plans=json.dumps(both))

    found = made.rows.sql("SELECT id::text, steps FROM headrace.plan")
    assert {row["id"]: row["steps"] for row in found} == {str(known): ["a"], str(new): ["c"]}
