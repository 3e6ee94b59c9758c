"""Runs that start when runs of other pipelines have ended: each once, and only those."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.operations.backfill import backfill
from headrace.engine.operations.retention import prune
from headrace.engine.scheduling.pipeline_triggers import PipelineTriggers
from headrace.errors import LeadershipLost
from headrace.model.notifications import Notifications, Receiver
from headrace.model.status import Trigger
from headrace.store.database import Row
from tests.support.by_hand import ByHand, by_hand
from tests.support.processes import wait_until
from tests.support.servers import connect

ONLY = "steps:\n  - {id: only, job: RunSql, with: {sql: select 1}}\n"
FAILING = "steps:\n  - {id: only, job: FailedJob, retry: {limit: 0}}\n"
DAY = 'params: {day: {type: date, default: "{{ run.logical_date }}"}}\n'


@dataclass
class Installation:
    """A leader by hand over some pipelines; `look` is its turn."""

    hand: ByHand
    term: int
    clock: list[float] = field(default_factory=lambda: [0.0])
    triggers: PipelineTriggers = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin as a daemon does that has just been started."""
        headrace = self.hand.headrace
        self.triggers = PipelineTriggers(
            headrace.database,
            headrace.dispatcher,
            headrace.pipelines,
            headrace.planner,
            lambda: self.clock[0],
        )
        headrace.pipelines.refresh()
        self.triggers.refresh(self.term)
        self.look()

    def declare(self, **files: str) -> None:
        """Write pipelines by their names, None removes one; the leader takes note of them."""
        folder = self.hand.headrace.settings.pipelines
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
        self.reload()

    def remove(self, name: str) -> None:
        (self.hand.headrace.settings.pipelines / f"{name}.yaml").unlink()
        self.reload()

    def reload(self) -> None:
        assert self.hand.headrace.pipelines.refresh()
        self.triggers.refresh(self.term)
        self.look()

    def look(self) -> int:
        """Take one turn as the leading daemon does; returns how many runs it has started."""
        with self.hand.headrace.database.transaction() as tx:
            self.triggers.look(tx)
        started = self.triggers.tick(self.term)
        while self.triggers.behind:
            started += self.triggers.tick(self.term)
        return started

    def run(self, pipeline: str, **params: Any) -> Mapping[str, Any]:
        """Have a run start and end, whatever is triggered by it left alone."""
        return self.hand.run(pipeline, **params)

    def runs(self, pipeline: str) -> list[Row]:
        """Return the runs of a pipeline, the oldest first."""
        rows = self.hand.headrace.database.rows(
            "runs", before=None, status=None, pipeline=pipeline, limit=5000
        )
        return list(reversed(rows))

    def upstream(self, run: Mapping[str, Any]) -> list[str]:
        """Return the ids of the runs that a run came of."""
        rows = self.hand.headrace.database.rows("upstream_of_run", id=run["id"])
        return [row["id"] for row in rows]

    def outcomes(self, pipeline: str) -> dict[Any, str]:
        """Return what became of upstream runs, by their ids."""
        rows = self.hand.headrace.database.rows("last_triggered", pipelines=[pipeline], limit=5000)
        return {row["upstream_run"]: row["outcome"] for row in rows}

    def told(self) -> list[tuple[str, str, str, Any]]:
        """Return the notifications that are to be sent."""
        with connect(self.hand.headrace.database_url) as found, found.cursor() as cursor:
            cursor.execute(
                "SELECT kind, receiver, pipeline, content FROM headrace.notification"
                " ORDER BY receiver"
            )
            return cursor.fetchall()

    def ended(self, run: Mapping[str, Any], ago: timedelta) -> None:
        """Have a run that has ended have done so before, and triggers have been known then."""
        self.sql("UPDATE headrace.trigger SET seen_until = clock_timestamp() - interval '1 day'")
        self.sql(
            f"UPDATE headrace.run SET finished_at = clock_timestamp() - interval '{ago}'"
            f" WHERE id = '{run['id']}'"
        )

    def sql(self, statement: str) -> None:
        with self.hand.headrace.database.transaction() as tx:
            tx.connection.exec_driver_sql(statement)


@pytest.fixture
def there(database: str, redis_url: str, tmp_path: Path) -> Iterator[Installation]:
    receivers = {name: Receiver(name, "webhook", "https://example.com") for name in ("a", "b")}
    known = Notifications(receivers=receivers)
    with by_hand(database, redis_url, tmp_path, notifications=known) as hand:
        leader = hand.headrace.database.row("acquire_lease", holder="test", lease_s=600)
        assert leader is not None
        (tmp_path / "pipelines").mkdir()
        yield Installation(hand, leader["term"])


def test_each_completed_run_starts_one_in_the_order_of_their_ends(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    first, second = there.run("load"), there.run("load")

    assert there.look() == 2
    assert there.look() == 0

    runs = there.runs("totals")
    assert [there.upstream(run) for run in runs] == [[first["id"]], [second["id"]]]
    assert [run["logical_date"] for run in runs] == [first["logical_date"], second["logical_date"]]
    assert {(run["trigger"], run["status"]) for run in runs} == {("pipeline", "running")}
    there.hand.work()
    assert {run["status"] for run in there.runs("totals")} == {"completed"}


@pytest.mark.parametrize(
    ("on", "counting"),
    [("completed", ["good"]), ("failed", ["bad"]), ("ended", ["good", "bad", "gone"])],
)
def test_on_says_which_ends_count(there: Installation, on: str, counting: list[str]) -> None:
    param = "params: {fail: {type: boolean, default: false}}\n"
    steps = ONLY + "  - {id: bad, job: FailedJob, when: params.fail, retry: {limit: 0}}\n"
    after = f"trigger: {{pipelines: [load], on: {on}}}\n"
    there.declare(load=param + steps, after=after + ONLY)
    runs: dict[str, Mapping[str, Any]] = {
        "good": there.run("load"),
        "bad": there.run("load", fail=True),
    }
    gone = there.hand.headrace.start_run("load", {})
    runs["gone"] = there.hand.headrace.interventions.cancel_run(str(gone["id"]))
    assert [run["status"] for run in runs.values()] == ["completed", "failed", "cancelled"]

    assert there.look() == len(counting)

    of = [there.upstream(run)[0] for run in there.runs("after")]
    assert of == [runs[name]["id"] for name in counting]


def test_a_failed_run_counts_when_a_retry_completes_it_and_only_once(there: Installation) -> None:
    there.declare(load=FAILING, totals=f"trigger: load\n{ONLY}")
    run = there.run("load")
    assert there.look() == 0
    there.sql("UPDATE headrace.job SET job_class = 'RunSql', payload = '{\"sql\": \"select 1\"}'")
    there.hand.headrace.interventions.retry_run(str(run["id"]))
    there.hand.work()

    assert there.look() == 1

    there.sql(f"UPDATE headrace.run SET finished_at = clock_timestamp() WHERE id = '{run['id']}'")
    assert there.look() == 0


BOTH = "trigger: {pipelines: [orders, customers], window: 6h}\n"


def test_several_start_one_run_once_each_has_ended(there: Installation) -> None:
    there.declare(orders=ONLY, customers=ONLY, mart=BOTH + ONLY)
    orders = there.run("orders")
    assert there.look() == 0
    customers = there.run("customers")
    assert there.look() == 1
    assert there.look() == 0

    (run,) = there.runs("mart")
    assert there.upstream(run) == [orders["id"], customers["id"]]
    assert run["logical_date"] == customers["logical_date"]


def test_what_ended_outside_the_window_expires(there: Installation) -> None:
    there.declare(orders=ONLY, customers=ONLY, mart=BOTH + ONLY)
    old, customers = there.run("orders"), there.run("customers")
    there.ended(old, timedelta(hours=6, minutes=1))

    assert there.look() == 0
    assert there.outcomes("mart") == {old["id"]: "expired"}
    orders = there.run("orders")
    assert there.look() == 1

    assert there.upstream(there.runs("mart")[0]) == [customers["id"], orders["id"]]


def test_what_waits_alone_for_longer_than_the_window_expires(there: Installation) -> None:
    there.declare(orders=ONLY, customers=ONLY, mart=BOTH + ONLY)
    old = there.run("orders")
    there.ended(old, timedelta(hours=5))
    there.look()
    assert there.outcomes("mart") == {}
    there.ended(old, timedelta(hours=7))

    there.clock[0] += 61
    there.look()

    assert there.outcomes("mart") == {old["id"]: "expired"}


def test_of_several_runs_of_one_pipeline_the_newest_counts(there: Installation) -> None:
    there.declare(orders=ONLY, customers=ONLY, mart=BOTH + ONLY)
    old, new = there.run("orders"), there.run("orders")
    there.look()
    customers = there.run("customers")

    assert there.look() == 1

    assert there.upstream(there.runs("mart")[0]) == [new["id"], customers["id"]]
    assert there.outcomes("mart")[old["id"]] == "superseded"


def test_the_parameters_of_the_upstream_runs_are_handed_on_with_their_types(
    there: Installation,
) -> None:
    there.declare(
        orders='schedule: {cron: "@daily", timezone: Asia/Tokyo}\n' + DAY + ONLY,
        mart="""
trigger:
  pipelines: [orders]
  with:
    day: "{{ upstream.orders.params.day }}"
    stands_for: "{{ upstream.orders.logical_date }}"
    month: "{{ upstream.orders.params.day.month }}"
    note: "{{ upstream['orders'].status }} {{ upstream.orders.run }} {{ run.trigger }}"
    also: "{{ run.logical_date }}"
params:
  day: {type: date, required: true}
  stands_for: {type: date}
  month: {type: integer}
  note: {}
  also: {type: date}
"""
        + ONLY,
    )
    rows = backfill(
        there.hand.headrace,
        "orders",
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 18, tzinfo=UTC),
    )
    there.hand.work()

    assert there.look() == 1

    (run,) = there.runs("mart")
    assert run["logical_date"] == datetime(2026, 3, 1, 15, tzinfo=UTC)
    # It is the second of March in Tokyo by then.
    assert run["params"] == {
        "day": "2026-03-02",
        "stands_for": "2026-03-02",
        "month": 3,
        "note": f"completed {rows[0]['id']} pipeline",
        "also": "2026-03-02",
    }


def test_parameters_that_do_not_fit_use_the_run_up_and_others_go_on(
    there: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headrace.daemon")
    there.declare(
        load="params: {day: {default: never}}\n" + ONLY,
        totals="trigger: {pipelines: [load], with: {day: '{{ upstream.load.params.day }}'}}\n"
        "params: {day: {type: date}}\nnotify: {to: [a, b]}\n" + ONLY,
        other="trigger: load\n" + ONLY,
    )
    load = there.run("load")

    assert there.look() == 1

    assert there.outcomes("totals") == {load["id"]: "failed"}
    (last,) = there.hand.headrace.database.rows("last_triggered", pipelines=["totals"], limit=1)
    assert '"never", not a date' in last["error"]
    (told,) = [line for line in caplog.messages if "cannot start" in line]
    assert told == f"totals: the run after {load['id']} cannot start: {last['error']}"
    content = {
        "status": "failed",
        "trigger": "pipeline",
        "logical_date": load["logical_date"].isoformat(),
        "error": last["error"],
    }
    assert there.told() == [("failure", name, "totals", content) for name in ("a", "b")]
    (other,) = there.runs("other")
    due = other["logical_date"].isoformat()
    assert f"run {other['id']} of other started (triggered, for {due})" in caplog.messages
    there.restart()
    assert [len(there.runs(name)) for name in ("totals", "other")] == [0, 1]


def test_what_ended_before_the_trigger_was_known_does_not_count(there: Installation) -> None:
    there.declare(load=ONLY, customers=ONLY)
    there.run("load")
    there.run("customers")

    there.declare(totals=f"trigger: load\n{ONLY}")
    assert there.runs("totals") == []
    there.run("load")
    assert there.look() == 1
    there.declare(totals="trigger: {pipelines: [load, customers]}\n" + ONLY)
    there.run("load")
    assert there.look() == 0


def test_a_changed_on_does_not_look_back(there: Installation) -> None:
    there.declare(load=FAILING, after="trigger: load\n" + ONLY)
    there.run("load")
    there.look()

    there.declare(after="trigger: {pipelines: [load], on: failed}\n" + ONLY)
    assert there.runs("after") == []

    there.run("load")
    assert there.look() == 1


def test_what_ended_while_no_daemon_was_up_counts_afterwards(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    before = there.run("load")
    there.look()
    runs = [there.run("load") for _ in range(3)]

    there.restart()
    there.restart()

    of = [there.upstream(run)[0] for run in there.runs("totals")]
    assert of == [before["id"], *(run["id"] for run in runs)]


def test_a_backlog_is_worked_off_in_order_however_long(
    there: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.engine.scheduling.pipeline_triggers._MOST_AT_ONCE", 3)
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    runs = [there.run("load") for _ in range(10)]

    assert there.look() == 10

    of = [there.upstream(run)[0] for run in there.runs("totals")]
    assert of == [run["id"] for run in runs]


def test_a_removed_trigger_forgets_and_does_not_make_up_for_when_it_comes_back(
    there: Installation,
) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    there.declare(totals=ONLY)
    there.run("load")
    there.declare(totals=f"trigger: load\n{ONLY}")
    assert there.look() == 0
    there.remove("totals")
    there.run("load")
    there.declare(totals=f"trigger: load\n{ONLY}")

    assert there.look() == 0
    assert there.runs("totals") == []
    there.run("load")
    assert there.look() == 1


def test_a_broken_file_loses_nothing_meanwhile(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    there.declare(totals="steps: [")
    there.run("load")
    # The new daemon has never seen a good version.
    headrace = there.hand.headrace
    headrace.pipelines._seen = None
    there.restart()
    assert there.runs("totals") == []

    there.declare(totals=f"trigger: load\n{ONLY}")

    assert len(there.runs("totals")) == 1


def test_without_its_upstream_file_a_pipeline_is_in_error_and_stays_in_force(
    there: Installation,
) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    started = there.hand.headrace.start_run("load", {})
    there.remove("load")
    pipelines = there.hand.headrace.pipelines
    assert [problem.code for problem in pipelines.problems] == ["unknown-pipeline"]
    assert pipelines.get("totals").trigger is not None
    there.hand.work()

    assert there.look() == 1

    assert there.upstream(there.runs("totals")[0]) == [started["id"]]
    there.declare(load=ONLY)
    assert pipelines.problems == []


def test_a_paused_pipeline_passes_over_and_does_not_make_up_for(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    interventions = there.hand.headrace.interventions
    interventions.pause("totals")
    seen, unseen = there.run("load"), None
    there.look()
    unseen = there.run("load")
    interventions.resume("totals")

    assert there.look() == 0

    assert there.outcomes("totals") == {seen["id"]: "paused"}
    (row,) = there.hand.headrace.database.rows("schedules")
    assert (row["pipeline"], row["skipped"]) == ("totals", 1)
    interventions.resume("totals")
    after = there.run("load")
    interventions.resume("totals")
    assert there.look() == 1
    assert there.upstream(there.runs("totals")[0]) == [after["id"]]
    assert unseen["id"] not in there.outcomes("totals")


@pytest.mark.parametrize(
    ("conflict", "statuses"),
    [
        ("queue", ["running", "queued", "queued"]),
        ("skip", ["running", "skipped", "skipped"]),
        ("replace", ["cancelled", "cancelled", "running"]),
        ("fail", ["running", "failed", "failed"]),
    ],
)
def test_limits_on_runs_hold(there: Installation, conflict: str, statuses: list[str]) -> None:
    limit = f"concurrency: {{on_conflict: {conflict}}}\n"
    there.declare(load=ONLY, totals=f"trigger: load\n{limit}{ONLY}")
    runs = [there.run("load") for _ in range(3)]

    there.look()

    assert [run["status"] for run in there.runs("totals")] == statuses
    of = [there.upstream(run)[0] for run in there.runs("totals")]
    assert of == [run["id"] for run in runs]


def test_runs_of_every_kind_count_and_chains_go_on(there: Installation) -> None:
    there.declare(
        load="schedule: {interval: 1d}\n" + ONLY,
        totals=f"trigger: load\n{ONLY}",
        report=f"trigger: totals\n{ONLY}",
    )
    headrace = there.hand.headrace
    day = datetime(2026, 3, 1, tzinfo=UTC)
    backfill(headrace, "load", day, day + timedelta(days=1))
    for trigger in (Trigger.MANUAL, Trigger.API):
        headrace.start_run("load", {}, trigger=trigger)
    there.hand.work()

    assert there.look() == 4
    there.hand.work()
    assert there.look() == 4


def test_a_leader_whose_term_is_over_starts_nothing(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    there.run("load")
    there.sql("UPDATE headrace.leader SET term = term + 1")

    with pytest.raises(LeadershipLost):
        there.look()

    assert there.runs("totals") == []
    assert there.outcomes("totals") == {}


def test_a_daemon_that_leads_no_more_takes_over_no_triggers_and_a_leader_does_so_later(
    there: Installation,
) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    (there.hand.headrace.settings.pipelines / "totals.yaml").unlink()
    there.hand.headrace.pipelines.refresh()

    with pytest.raises(LeadershipLost, match=r"^term 7777 is over$"):
        there.triggers.refresh(7777)

    assert len(there.hand.headrace.database.rows("triggers")) == 1
    there.look()
    assert there.hand.headrace.database.rows("triggers") == []


def test_a_pipeline_that_is_gone_when_its_trigger_is_due_uses_nothing_up(
    there: Installation,
) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    there.run("load")
    (there.hand.headrace.settings.pipelines / "totals.yaml").unlink()
    there.hand.headrace.pipelines.refresh()

    with there.hand.headrace.database.transaction() as tx:
        there.triggers.look(tx)
    assert there.triggers.tick(there.term) == 0
    assert there.outcomes("totals") == {}


def test_the_settled_moment_lies_before_all_that_open_transactions_may_have_noted(
    there: Installation,
) -> None:
    database = there.hand.headrace.database
    there.declare(load=ONLY)
    there.run("load")
    with database.transaction() as late:
        late.connection.exec_driver_sql("UPDATE headrace.run SET finished_at = clock_timestamp()")
        (other,) = database.rows("visible_until")
    (row,) = there.runs("load")

    assert row["finished_at"] >= other["visible_until"]
    assert database.rows("visible_until")[0]["visible_until"] > row["finished_at"]


def test_a_long_history_is_left_behind(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}", other=f"trigger: load\n{ONLY}")
    there.ended(there.run("load"), timedelta(minutes=30))
    there.look()

    rows = there.hand.headrace.database.rows("triggers")

    assert len(rows) == 2
    assert all(datetime.now(UTC) - row["seen_until"] < timedelta(minutes=2) for row in rows)
    assert there.look() == 0


def test_pruning_an_upstream_run_forgets_it_and_keeps_what_it_started(there: Installation) -> None:
    there.declare(load=ONLY, totals=f"trigger: load\n{ONLY}")
    there.run("load")
    there.look()
    (run,) = there.runs("totals")

    assert prune(there.hand.headrace.database, 0).runs == 1
    assert [one["id"] for one in there.runs("load")] == []
    assert there.upstream(run) == []
    assert [one["id"] for one in there.runs("totals")] == [run["id"]]


def test_only_the_end_of_a_run_that_a_pipeline_waits_for_rings(
    there: Installation, database: str
) -> None:
    there.declare(load=ONLY, other=ONLY, totals=f"trigger: load\n{ONLY}")
    bell = connect(database)
    with bell.cursor() as cursor:
        cursor.execute("LISTEN headrace_bell")

    there.run("other")
    there.run("load")

    # They come in the order of the commits: one of `other` would be there, too.
    wait_until(lambda: bell.poll() or bell.notifies, what="the bell")
    assert len(bell.notifies) == 1
    bell.close()
