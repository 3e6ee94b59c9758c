"""The rows of runs and jobs as they are inserted, and what a dispatch does beside them."""

import json
import logging
from datetime import UTC, datetime
from hashlib import sha256
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from headrace.engine.dispatch.dispatcher import Dispatcher
from headrace.engine.dispatch.late_dispatcher import LateDispatcher
from headrace.engine.dispatch.rows import add_jobs, run_row
from headrace.engine.dispatch.stored_plans import keep_plans, steps_as_stored
from headrace.errors import (
    HeadraceError,
    InvalidPayload,
    NotFound,
    QueueUnavailable,
    StoreUnavailable,
    TooManyRuns,
)
from headrace.model.pipeline import Concurrency
from headrace.model.plan import FOREACH, Plan, PlannedJob
from headrace.model.retry import RetryPolicy
from headrace.model.status import Trigger
from headrace.plan.retry_policy import policy_to_row
from headrace.queue.message import Message
from headrace.store.row_types import NewRun
from tests.support.fake_database import FakeDatabase
from tests.support.noting import note

DUE = datetime(2026, 7, 1, tzinfo=UTC)
RUN = str(UUID(int=77))
RETRY = RetryPolicy(limit=2)


def planned(step: str, **more: Any) -> PlannedJob:
    given = {"job_class": "RunSql", "payload": {"sql": "x"}, "queue": "low", "retry": RETRY}
    return PlannedJob(step, **{**given, "timeout_s": 60.0, **more})


def plan_of(*jobs: PlannedJob, **more: Any) -> Plan:
    given = {"params": {"n": 1}, "folder": "sub", "timezone": "Asia/Tokyo", **more}
    return Plan(pipeline="p", version="v1", logical_date=DUE, jobs=jobs, **given)


def rows_of(*jobs: PlannedJob, status: str = "running") -> tuple[dict[str, Any], list[Any]]:
    """The jobs' rows by their steps, and what waits for what, by steps."""
    rows: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    add_jobs(plan_of(*jobs), cast("NewRun", {"id": RUN, "status": status}), rows, edges)
    names = {row["id"]: row["step"] for row in rows}
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    return (
        {row["step"]: row for row in rows},
        [(names[edge["upstream_id"]], names[edge["job_id"]]) for edge in edges],
    )


PLAIN = {
    "job_class": "RunSql", "payload": {"sql": "x"}, "queue": "low", "timeout_s": 60.0,
    "retry": policy_to_row(RETRY), "run_id": RUN, "pipeline": "p", "folder": "sub",
    "logical_date": DUE.isoformat(), "timezone": "Asia/Tokyo", "deps_left": 0, "dependents": 0,
    "late": False, "trigger_rule": "all_success", "when_expr": None, "allow_failure": False,
    "held": False, "handler": None, "pool": None, "pool_slots": None, "env": None, "needs": None,
}  # fmt: skip
FOREACH_OF = {"foreach": {"items": "{{ steps.a.result }}", "as": "item"}}
ITEMS = {
    "foreach": FOREACH_OF["foreach"], "job": "RunSql", "with": {"sql": "x"},
    "env": {}, "pool": None, "slots": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "differs"),
    [
        ({}, {}),
        ({"late": True, "allow_failure": True}, {"late": True, "allow_failure": True}),
        ({"when": "params.n"}, {"when_expr": "params.n", "held": True}),
        ({"handler": "finally"}, {"handler": "finally", "held": True}),
        ({"env": {"A": "b"}}, {"env": {"A": "b"}, "needs": 5}),
        ({"pool": "p", "slots": 2}, {"pool": "p", "pool_slots": 2, "held": True, "needs": 4}),
        # A step's own number of slots is a pool of its run.
        ({"slots": 2}, {"pool": f"{RUN} s", "pool_slots": 2, "held": True, "needs": 4}),
        (
            {"job_class": "pipeline x"},
            {"job_class": "pipeline x", "when_expr": "true", "held": True},
        ),
        (
            {"job_class": "pipeline x", "when": "params.n"},
            {"job_class": "pipeline x", "when_expr": "params.n", "held": True},
        ),
        (FOREACH_OF, {"job_class": FOREACH, "payload": ITEMS}),
        (
            {**FOREACH_OF, "slots": 2, "env": {"A": "b"}},
            {
                "job_class": FOREACH, "needs": 5,
                "payload": {**ITEMS, "slots": 2, "pool": f"{RUN} s", "env": {"A": "b"}},
            },
        ),
        (
            {**FOREACH_OF, "job_class": "pipeline x", "slots": 2},
            {"job_class": FOREACH, "payload": {**ITEMS, "job": "pipeline x", "slots": 2}},
        ),
    ],
)  # fmt: skip
def test_a_step_is_inserted_with_all_that_it_says(
    given: dict[str, Any], differs: dict[str, Any]
) -> None:
    rows, edges = rows_of(planned("s", **given))

    row = {name: value for name, value in rows["s"].items() if name not in ("id", "step")}
    assert row == {**PLAIN, **differs}
    assert edges == []
    held, _ = rows_of(planned("s", **given), status="queued")
    assert held["s"]["held"], "the run waits for its turn"


def test_what_waits_for_what_is_counted_on_both_sides() -> None:
    last = planned("c", depends_on=("a", "b"), when="params.n")
    item = planned("each[3]", slots=1)

    rows, edges = rows_of(planned("a"), planned("b", depends_on=("a",)), last, item)

    assert edges == [("a", "b"), ("a", "c"), ("b", "c")]
    counted = [(row["deps_left"], row["dependents"]) for row in rows.values()]
    assert counted == [(0, 2), (1, 1), (2, 0), (0, 0)]
    assert not rows["c"]["held"], "it waits for others"
    assert rows["each[3]"]["pool"] == f"{RUN} each"


def test_behind_what_makes_items_there_is_room_for_their_ids() -> None:
    rows, _ = rows_of(planned("each", **FOREACH_OF), planned("after"))

    first, second = (UUID(row["id"]).int for row in rows.values())
    assert second - first > 10_000


def test_a_run_is_inserted_with_all_that_its_plan_says() -> None:
    plain = run_row(RUN, plan_of(planned("s")), Trigger.MANUAL, "digest")
    assert plain == {
        "id": RUN, "pipeline": "p", "version": "v1", "trigger": "manual", "params": {"n": 1},
        "logical_date": DUE.isoformat(), "plan_id": "digest", "concurrency_group": None,
        "concurrency_limit": None, "has_handlers": False, "parent_job": None, "notify": None,
        "expected": None,
        "plan": {"folder": "sub", "param_types": {}, "timezone": "Asia/Tokyo"},
    }  # fmt: skip
    full = plan_of(
        planned("s"),
        planned("h", handler="finally"),
        param_types={"n": "integer"},
        concurrency=Concurrency(group="g", limit=3, on_conflict="queue"),
        parent_job="parent",
    )
    assert run_row(RUN, full, Trigger.SCHEDULE, "digest") == {
        **plain, "trigger": "schedule", "concurrency_group": "g", "concurrency_limit": 3,
        "has_handlers": True, "parent_job": "parent",
        "plan": {"folder": "sub", "param_types": {"n": "integer"}, "timezone": "Asia/Tokyo"},
    }  # fmt: skip


# -- plans ----------------------------------------------------------------------------------------


def test_the_steps_of_a_plan_are_stored_without_what_differs_from_run_to_run() -> None:
    steps = (
        planned("a"),
        planned("each[0]", depends_on=("a",)),
        planned("each[1]", depends_on=("a",), payload={"sql": "y"}),
        planned("b", depends_on=("each[0]", "each[1]"), when="params.n", allow_failure=True,
                pool="p", slots=2, trigger_rule="all_done"),
        planned("c", handler="finally", **FOREACH_OF),
    )  # fmt: skip
    same = {"job": "RunSql", "queue": "low", "timeout_s": 60.0, "retry": policy_to_row(RETRY)}
    every = {**same, "trigger_rule": "all_success"}

    plan_id, text = steps_as_stored(plan_of(*steps))

    assert json.loads(text) == [
        {**every, "step": "a"},
        {**every, "step": "each", "depends_on": ["a"], "items": 2},
        {**same, "step": "b", "depends_on": ["each"], "when": "params.n", "allow_failure": True,
         "pool": "p", "slots": 2, "trigger_rule": "all_done"},
        {**every, "step": "c", "handler": "finally", "foreach": True},
    ]  # fmt: skip
    other_values = planned("a", payload={"sql": "z"})
    assert steps_as_stored(plan_of(other_values, *steps[1:], params={}))[0] == plan_id
    assert steps_as_stored(plan_of(*steps[1:]))[0] != plan_id
    # Ids are those of the rows that earlier versions have written.
    alone = json.dumps([{**every, "step": "a"}], sort_keys=True)
    digest = sha256(alone.encode()).digest()[:16]
    assert steps_as_stored(plan_of(planned("a"))) == (str(UUID(bytes=digest)), alone)


def test_a_plan_is_stored_once_and_held() -> None:
    one, other = plan_of(planned("a")), plan_of(planned("b"))
    known, new = steps_as_stored(one)[0], steps_as_stored(other)[0]
    database = FakeDatabase({"hold_plans": [{"id": UUID(known)}]})

    kept = keep_plans(database, {"r1": one, "r2": other, "r3": one})

    assert kept == {"r1": known, "r2": new, "r3": known}
    (asked,) = database.values_of("hold_plans")
    assert sorted(asked["ids"]) == sorted([known, new])
    (added,) = database.values_of("add_plans")
    assert [plan["id"] for plan in json.loads(added["plans"])] == [new]
    keep_plans(database, {"r1": one})
    assert len(database.values_of("add_plans")) == 1


# -- dispatching ----------------------------------------------------------------------------------


class Stand:
    """A dispatcher among fakes."""

    def __init__(self) -> None:
        self.database = FakeDatabase()
        self.prepared_answer = True
        self.database.prepared = self._prepared  # type: ignore[attr-defined]
        self.sent: list[Message] = []
        self.error: Exception | None = None
        self.prepares = 0
        settings: Any = SimpleNamespace(
            queues=("high", "low"), default_queue="low", timeout_s=60.0, retry=RETRY
        )
        sender: Any = SimpleNamespace(
            send=self._send, prepare=self._prepare, send_first=self._send_first
        )
        registry: Any = SimpleNamespace(
            arguments=lambda _job_class, payload: payload, referring=lambda _job_class: ("token",)
        )
        made: Any = self.database
        self.dispatcher = Dispatcher(settings, made, sender, registry)

    def _prepare(self) -> None:
        self.prepares += 1

    def _send(self, messages: Any) -> None:
        if self.error is not None:
            raise self.error
        self.sent += messages

    def _send_first(self, queue: str, timeout_s: float, ids: Any) -> None:
        self._send([Message(UUID(one), 0, queue, timeout_s) for one in ids])

    def _prepared(self, statement: str, **values: Any) -> Any:
        self.database.asked.append((statement, values))
        return [{"id": values["id"]}] if self.prepared_answer else []


@pytest.fixture
def stand() -> Stand:
    return Stand()


def test_a_job_is_inserted_and_sent_with_what_was_asked_or_is_usual(stand: Stand) -> None:
    job = stand.dispatcher.dispatch("Load", {"at": DUE, "n": 1})

    (values,) = stand.database.values_of("insert_job_id")
    assert values == {
        "id": job, "job_class": "Load", "queue": "low", "timeout_s": 60.0,
        "retry": json.dumps(policy_to_row(RETRY)), "idempotency_key": None,
        "payload": f'{{"at": "{DUE}", "n": 1}}',
    }  # fmt: skip
    assert stand.sent == [Message(UUID(job), 0, "low", 60.0)]
    stand.dispatcher.dispatch("Load", {}, queue="high", timeout="2m", retry=5, idempotency_key="k")
    values = stand.database.values_of("insert_job_id")[1]
    assert (values["queue"], values["timeout_s"], values["idempotency_key"]) == ("high", 120.0, "k")
    assert json.loads(values["retry"])["limit"] == 5
    assert stand.sent[1].timeout_s == 120.0


def test_a_second_dispatch_of_a_key_sends_nothing_and_returns_the_first_ones_id(
    stand: Stand,
) -> None:
    stand.prepared_answer = False
    stand.database.answers["job_by_key"] = [{"id": UUID(int=5)}]

    assert stand.dispatcher.dispatch("Load", {}, idempotency_key="k") == str(UUID(int=5))

    assert stand.sent == []
    assert stand.database.values_of("job_by_key") == [{"idempotency_key": "k"}]


@pytest.mark.parametrize(
    ("payload", "options", "words"),
    [
        ({}, {"queue": "none"}, r'no worker listens on the queue "none"; the queues are high, low'),
        ({"token": "${HOME}"}, {}, "^token: "),
        ({}, {"depends_on": ["x"]}, "depends_on takes job ids: "),
    ],
)
def test_what_cannot_be_dispatched_is_refused_with_its_reason(
    stand: Stand, payload: Any, options: Any, words: str
) -> None:
    with pytest.raises(InvalidPayload, match=words):
        stand.dispatcher.dispatch("Load", payload, **options)

    assert stand.database.asked == []
    assert stand.sent == []


@pytest.mark.parametrize("error", [QueueUnavailable("away", "silent"), StoreUnavailable("away")])
def test_a_dispatch_is_good_although_its_message_cannot_be_sent(
    stand: Stand, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level(logging.DEBUG)
    stand.error = error

    assert stand.dispatcher.dispatch("Load", {})
    assert stand.dispatcher.dispatch_many("Load", [{}])

    assert caplog.text.count("away; the daemon's sweep will send the missing messages") == 2


def row(status: str = "queued", **more: Any) -> dict[str, Any]:
    usual = {"id": UUID(int=5), "attempt": 0, "queue": "low", "timeout_s": 60.0}
    return {**usual, "status": status, **more}


def test_a_job_below_others_waits_for_those_that_have_not_ended(stand: Stand) -> None:
    ups = [UUID(int=1), UUID(int=2)]
    stand.database.answers |= {
        "lock_upstream": [{"id": up, "status": "started"} for up in ups],
        "insert_dependent_job": [row("waiting")],
    }

    depends_on = [str(ups[0]), str(ups[1]), str(ups[0])]
    assert stand.dispatcher.dispatch("Load", {}, depends_on=depends_on) == str(UUID(int=5))

    assert stand.database.values_of("lock_upstream") == [{"ids": ups}]
    assert stand.database.values_of("insert_dependent_job")[0]["deps_left"] == 2
    assert stand.database.values_of("insert_dependencies") == [{"id": UUID(int=5), "upstream": ups}]
    assert stand.database.values_of("note_dependant") == [{"ids": ups}]
    assert stand.database.values_of("recount_waiting") == []
    assert stand.sent == []


def test_below_one_that_has_ended_it_is_decided_at_once(stand: Stand) -> None:
    stand.database.answers |= {
        "lock_upstream": [{"id": UUID(int=1), "status": "completed"}],
        "insert_dependent_job": [row("waiting")],
        "job": [row()],
    }

    stand.dispatcher.dispatch("Load", {}, depends_on=str(UUID(int=1)))

    assert stand.database.values_of("recount_waiting") == [{"ids": [UUID(int=5)]}]
    assert stand.sent == [Message(UUID(int=5), 0, "low", 60.0)]


def test_below_one_that_is_missing_nothing_is_dispatched(stand: Stand) -> None:
    stand.database.answers["lock_upstream"] = [{"id": UUID(int=1), "status": "started"}]
    missing = str(UUID(int=2))

    with pytest.raises(NotFound, match=f"depends_on names the job {missing}, which does not exist"):
        stand.dispatcher.dispatch("Load", {}, depends_on=[str(UUID(int=1)), missing])

    assert stand.database.values_of("insert_dependent_job") == []


def test_a_key_below_others_returns_the_first_dispatch(stand: Stand) -> None:
    stand.database.answers |= {
        "lock_upstream": [{"id": UUID(int=1), "status": "completed"}],
        "job_by_key": [row("started", attempt=1)],
    }

    told = stand.dispatcher.dispatch("Load", {}, depends_on=str(UUID(int=1)), idempotency_key="k")

    assert told == str(UUID(int=5))
    assert stand.database.values_of("insert_dependencies") == []
    assert stand.sent == []


def test_a_row_is_sent_only_if_it_is_queued_for_the_first_time(stand: Stand) -> None:
    for status, attempt, sent in (("queued", 0, 1), ("queued", 1, 0), ("completed", 0, 0)):
        stand.sent.clear()
        stand.database.answers["insert_job"] = [row(status, attempt=attempt)]
        stand.dispatcher.dispatch_row("Load", {})
        assert len(stand.sent) == sent


def test_many_are_inserted_in_parts_and_sent_in_their_order(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.engine.dispatch.bulk._A_STATEMENT", 2)

    ids = stand.dispatcher.dispatch_many(
        "Load", [{"n": n} for n in range(5)], queue="high", timeout=9
    )

    parts = stand.database.values_of("insert_many_jobs")
    assert [part["ids"] for part in parts] == [
        f"{{{ids[0]},{ids[1]}}}", f"{{{ids[2]},{ids[3]}}}", f"{{{ids[4]}}}",
    ]  # fmt: skip
    assert [json.loads(part["payloads"]) for part in parts] == [
        [{"n": 0}, {"n": 1}], [{"n": 2}, {"n": 3}], [{"n": 4}],
    ]  # fmt: skip
    assert {(part["queue"], part["timeout_s"], part["job_class"]) for part in parts} == {
        ("high", 9.0, "Load")
    }
    assert stand.sent == [Message(UUID(one), 0, "high", 9.0) for one in ids]
    asked: list[Any] = []
    real: Any = SimpleNamespace(
        dispatch=lambda *given, **named: note(asked, (given, named), "one"),
        dispatch_many=lambda *given, **named: note(asked, (given, named), ["many"]),
    )
    late = LateDispatcher(lambda: real)
    assert late.dispatch("Load", {}, queue="low") == "one"
    assert late.dispatch_many("Load", [{}], queue="low", retry=1, timeout=2) == ["many"]
    assert asked == [
        (("Load", {}), {"queue": "low"}),
        (("Load", [{}]), {"queue": "low", "retry": 1, "timeout": 2}),
    ]


# -- runs -----------------------------------------------------------------------------------------


def new_run(status: str = "running", **more: Any) -> dict[str, Any]:
    return {"id": UUID(RUN), "status": status, "error": None, **more}


def inserted(*status: str, **more: Any) -> Any:
    """Insert the run that is asked for, in a status."""

    def insert(runs: str, **_given: Any) -> list[Any]:
        return [new_run(*status, **more, id=UUID(json.loads(runs)[0]["id"]))]

    return insert


def started(stand: Stand, *jobs: PlannedJob, **given: Any) -> Any:
    stand.database.answers.setdefault("insert_runs", inserted())
    return stand.dispatcher.start_run(plan_of(*jobs), Trigger.MANUAL, **given)


def test_a_run_is_inserted_with_its_jobs_and_the_first_are_sent(stand: Stand) -> None:
    run = started(
        stand, planned("a"), planned("b", depends_on=("a",)), planned("h", handler="finally")
    )

    (jobs,) = stand.database.values_of("insert_jobs")
    inserted = {job["step"]: job for job in json.loads(jobs["jobs"])}
    assert {job["run_id"] for job in inserted.values()} == {str(run["id"])}
    assert [str(message.job_id) for message in stand.sent] == [inserted["a"]["id"]]
    (edges,) = stand.database.values_of("insert_edges")
    assert json.loads(edges["edges"]) == [
        {"upstream_id": inserted["a"]["id"], "job_id": inserted["b"]["id"]}
    ]
    assert stand.database.values_of("wanted_pools") == []
    assert stand.database.values_of("lock_run_key") == []
    assert stand.database.values_of("insert_runs")[0]["term"] is None
    assert stand.prepares == 1


def test_slots_are_given_out_where_a_step_takes_any(stand: Stand) -> None:
    stand.database.answers |= {
        "wanted_pools": [{"pool": "p", "slots": 1}],
        "assign_slots": [row()],
    }

    started(stand, planned("a", slots=1))

    assert stand.sent == [Message(UUID(int=5), 0, "low", 60.0)]


def test_one_key_starts_one_run(stand: Stand) -> None:
    first = started(stand, planned("a"), idempotency_key="k")
    assert first["idempotency_key"] == "k"
    assert stand.database.values_of("keep_run_key") == [{"id": first["id"], "idempotency_key": "k"}]
    assert stand.database.values_of("lock_run_key") == [{"pipeline": "p", "idempotency_key": "k"}]
    stand.sent.clear()
    stand.database.answers["run_by_key"] = [first]

    assert started(stand, planned("a"), idempotency_key="k") == first

    assert stand.sent == []
    assert len(stand.database.values_of("insert_runs")) == 1


def test_a_run_that_may_not_start_is_told_with_its_reason(stand: Stand) -> None:
    stand.database.answers["insert_runs"] = inserted("failed", error="1 run is running")
    with pytest.raises(TooManyRuns, match="no run of p was started: 1 run is running"):
        started(stand, planned("a"))
    stand.database.answers["insert_runs"] = []
    with pytest.raises(HeadraceError, match=r"the run of p for 2026-07-01T00:00:00\+00:00 already"):
        started(stand, planned("a"))


def test_a_run_that_is_over_before_it_began_has_no_jobs(stand: Stand) -> None:
    stand.database.answers["insert_runs"] = [new_run("skipped", error="why")]
    stand.dispatcher.insert_runs(
        stand.database, [(plan_of(planned("a")), Trigger.SCHEDULE)], term=5, ids=[UUID(RUN)]
    )

    assert stand.database.values_of("insert_jobs") == []
    assert stand.database.values_of("insert_runs")[0]["term"] == 5
    assert json.loads(stand.database.values_of("insert_runs")[0]["runs"])[0]["id"] == RUN
