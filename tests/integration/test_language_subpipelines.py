"""Steps that run a pipeline and wait for it."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from headrace.engine.operations.recovery import Recovery
from headrace.engine.operations.retention import prune
from headrace.engine.scheduling.subpipelines import MOST_RUNS
from headrace.errors import LeadershipLost, StoreUnavailable
from headrace.store import queries
from headrace.store.database import Row
from headrace.store.listen_notify import listen
from tests.support.by_hand import ByHand, by_hand
from tests.support.cli import REPOSITORY, Headrace
from tests.support.processes import wait_until

OK = "job: RunSql, with: {sql: select 1}"
BAD = "job: FailedJob, retry: {limit: 0}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


def declare(hand: ByHand, name: str, text: str) -> None:
    folder = hand.headrace.settings.pipelines
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(f"name: {name}\n{text}", encoding="utf-8")
    hand.headrace.pipelines.refresh()
    assert hand.headrace.pipelines.problems == []


def tick(hand: ByHand) -> None:
    """Do what the daemon does every second, the sweep of every fifth included."""
    headrace = hand.headrace
    Recovery(
        headrace.database, headrace.sender, lambda: 0.0, subpipelines=headrace.subpipelines
    ).tick()


def start(hand: ByHand, pipeline: str, **params: object) -> Mapping[str, Any]:
    """Start a run and its child runs, and have no worker do anything."""
    run = hand.headrace.start_run(pipeline, params)
    tick(hand)
    return run


def finish(hand: ByHand) -> None:
    """Work and tick until nothing is left to do."""
    database = hand.headrace.database
    while True:
        hand.work()
        tick(hand)
        wanted = database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
        if not wanted and not database.rows("overdue_messages", older_than_s=0):
            return


def row_of(hand: ByHand, run: Mapping[str, Any]) -> Row:
    row = hand.headrace.database.row("run", id=run["id"])
    assert row is not None
    return row


def children(hand: ByHand, pipeline: str = "child") -> list[Row]:
    """All runs of a pipeline, the oldest first, whole."""
    listed = hand.headrace.database.rows(
        "runs", before=None, limit=100, status=None, pipeline=pipeline
    )
    return [row_of(hand, run) for run in reversed(listed)]


def run_to_end(hand: ByHand, pipeline: str, **params: object) -> Mapping[str, Any]:
    run = hand.headrace.start_run(pipeline, params)
    finish(hand)
    return row_of(hand, run)


def queued(hand: ByHand) -> list[str]:
    rows = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    jobs = [hand.headrace.database.row("job", id=row["id"]) for row in rows]
    return sorted(job["step"] for job in jobs if job)


# -- success and failure --------------------------------------------------------------


def test_a_step_completes_with_the_run_that_it_starts(hand: ByHand) -> None:
    declare(
        hand,
        "child",
        f"params: {{day: {{type: date}}, n: {{type: integer, default: 3}}}}\n"
        f"steps: [{{id: one, {OK}}}, {{id: two, {OK}, depends_on: [one]}}]\n",
    )
    declare(
        hand,
        "parent",
        f"params: {{day: {{type: date, default: 2026-02-03}}}}\n"
        f"steps:\n"
        f"  - {{id: load, {OK}}}\n"
        '  - {id: refresh, pipeline: child, depends_on: [load], with: {day: "{{ params.day }}"}}\n'
        "  - {id: after, job: RunSql, depends_on: [refresh],"
        ' with: {sql: "select {{ params.run }} as run",'
        ' params: {run: "{{ steps.refresh.result.run }}"}}}\n',
    )

    run = run_to_end(hand, "parent")

    assert run["status"] == "completed"
    (child,) = children(hand)
    refresh = hand.jobs(run)["refresh"]
    assert (child["status"], child["trigger"]) == ("completed", "pipeline")
    assert child["params"] == {"day": "2026-02-03", "n": 3}
    assert child["logical_date"] == run["logical_date"]
    assert child["parent_job"] == refresh["id"]
    assert refresh["result"] == {"run": str(child["id"]), "status": "completed"}
    assert hand.jobs(run)["after"]["payload"]["params"]["run"].startswith("{{")
    assert hand.statuses(run) == dict.fromkeys(("load", "refresh", "after"), "completed")


def test_nothing_is_queued_while_the_child_runs(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")

    run = start(hand, "parent")

    assert queued(hand) == ["one"]
    assert hand.jobs(run)["refresh"]["status"] == "waiting"
    assert hand.jobs(run)["refresh"]["attempt"] == 0


def test_a_failed_child_fails_its_step_without_a_retry_and_is_named(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {BAD}}}]\n")
    declare(
        hand,
        "parent",
        "defaults: {retry: {limit: 5, delay: 0s}}\n"
        "steps:\n"
        "  - {id: refresh, pipeline: child}\n"
        f"  - {{id: after, {OK}, depends_on: [refresh]}}\n"
        f"  - {{id: told, {OK}, depends_on: [refresh], trigger_rule: one_failed}}\n",
    )

    run = run_to_end(hand, "parent")

    (child,) = children(hand)
    assert run["status"] == "failed"
    assert hand.statuses(run) == {"refresh": "failed", "after": "skipped", "told": "completed"}
    refresh = hand.jobs(run)["refresh"]
    assert refresh["error"] == f"run {child['id']} of child has failed"
    assert refresh["attempt"] == 1


def test_a_child_may_fail_where_the_step_may(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {BAD}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n  - {id: refresh, pipeline: child, allow_failure: true}\n"
        f"  - {{id: after, {OK}, depends_on: [refresh]}}\n",
    )

    run = run_to_end(hand, "parent")

    assert run["status"] == "completed"
    assert hand.statuses(run) == {"refresh": "failed", "after": "completed"}


# -- the gate -------------------------------------------------------------------------


def test_a_step_that_is_skipped_starts_no_run(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n"
        f"  - {{id: bad, {BAD}, allow_failure: true}}\n"
        "  - {id: no, pipeline: child, when: 1 > 2}\n"
        "  - {id: yes, pipeline: child, depends_on: [bad], when: steps.bad.status == 'failed'}\n"
        "  - {id: never, pipeline: child, depends_on: [yes], trigger_rule: one_failed}\n",
    )

    run = run_to_end(hand, "parent")

    expected = {"bad": "failed", "no": "skipped", "yes": "completed", "never": "skipped"}
    assert hand.statuses(run) == expected
    assert len(children(hand)) == 1


def test_a_handler_runs_a_pipeline_and_the_run_waits_for_it(hand: ByHand) -> None:
    declare(hand, "child", f"params: {{how: {{}}}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        f"steps: [{{id: bad, {BAD}}}]\n"
        "handlers:\n"
        '  failure: [{id: tell, pipeline: child, with: {how: "{{ run.status }}"}}]\n'
        f"  finally: [{{id: tidy, {OK}}}]\n",
    )

    run = start(hand, "parent")
    hand.work()
    tick(hand)
    assert hand.statuses(run) == {"bad": "failed", "tell": "waiting", "tidy": "waiting"}
    assert row_of(hand, run)["status"] == "running"
    finish(hand)

    assert hand.statuses(run) == {"bad": "failed", "tell": "completed", "tidy": "completed"}
    assert [child["params"] for child in children(hand)] == [{"how": "failed"}]
    assert row_of(hand, run)["status"] == "failed"


def test_results_of_steps_above_become_parameters_of_their_types(hand: ByHand) -> None:
    declare(
        hand,
        "child",
        f"params: {{n: {{type: integer}}, sql: {{}}}}\nsteps: [{{id: one, {OK}}}]\n",
    )
    declare(
        hand,
        "parent",
        "steps:\n"
        "  - {id: count, job: Fibonacci, with: {n: 7}}\n"
        "  - id: refresh\n"
        "    pipeline: child\n"
        "    depends_on: [count]\n"
        '    with: {n: "{{ steps.count.result }}", sql: "after {{ steps.count.status }}"}\n',
    )

    run = run_to_end(hand, "parent")

    assert run["status"] == "completed"
    assert children(hand)[0]["params"] == {"n": 13, "sql": "after completed"}


# -- foreach --------------------------------------------------------------------------


def test_foreach_starts_a_run_an_item(hand: ByHand) -> None:
    declare(hand, "child", f"params: {{region: {{}}}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n"
        "  - {id: each, pipeline: child, foreach: {items: [eu, us, apac], as: region},"
        ' with: {region: "{{ region }}"}}\n'
        f"  - {{id: after, {OK}, depends_on: [each]}}\n",
    )

    run = run_to_end(hand, "parent")

    assert run["status"] == "completed"
    assert [child["params"]["region"] for child in children(hand)] == ["eu", "us", "apac"]
    results = [hand.jobs(run)[f"each[{i}]"]["result"]["run"] for i in range(3)]
    assert results == [str(child["id"]) for child in children(hand)]


def test_foreach_has_no_more_runs_at_a_time_than_it_allows(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n"
        "  - {id: each, pipeline: child, foreach: {items: [1, 2, 3, 4, 5], max_concurrent: 2}}\n",
    )

    run = start(hand, "parent")
    tick(hand)

    most = 0
    while row_of(hand, run)["status"] == "running":
        most = max(most, sum(child["status"] == "running" for child in children(hand)))
        hand.work()
        tick(hand)
    assert most == 2
    assert len(children(hand)) == 5
    assert set(hand.statuses(run).values()) == {"completed"}


def declare_over_a_result(hand: ByHand, child: str) -> None:
    declare(hand, "child", child)
    declare(
        hand,
        "parent",
        "steps:\n"
        "  - {id: list, job: RunSql, with: {sql: 'select n from generate_series(1, 3) n'}}\n"
        "  - id: each\n    pipeline: child\n    depends_on: [list]\n"
        "    foreach: {items: '{{ steps.list.result.rows }}', max_concurrent: 2}\n"
        "    with: {n: '{{ item.n }}'}\n"
        f"  - {{id: after, {OK}, depends_on: [each]}}\n",
    )


def test_foreach_over_a_result_starts_a_run_an_item(hand: ByHand) -> None:
    declare_over_a_result(hand, f"params: {{n: {{type: integer}}}}\nsteps: [{{id: one, {OK}}}]\n")
    run = start(hand, "parent")

    most = 0
    while row_of(hand, run)["status"] == "running":
        hand.work()
        tick(hand)
        most = max(most, sum(child["status"] == "running" for child in children(hand)))

    assert most == 2
    assert [child["params"]["n"] for child in children(hand)] == [1, 2, 3]
    assert row_of(hand, run)["status"] == "completed"
    assert set(hand.statuses(run).values()) == {"completed"}


def test_a_failed_run_of_an_item_of_a_result_is_retried(hand: ByHand) -> None:
    sql = "job: RunSql, retry: {limit: 0}, with: {sql: 'select 1 / ({{ params.n }} - 2) as n'}"
    declare_over_a_result(hand, f"params: {{n: {{type: integer}}}}\nsteps: [{{id: one, {sql}}}]\n")
    run = run_to_end(hand, "parent")
    assert hand.statuses(run)["each[1]"] == "failed"

    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)

    assert hand.statuses(run) == {
        "list": "completed",
        "each": "completed",
        "each[0]": "completed",
        "each[1]": "failed",
        "each[2]": "completed",
        "after": "skipped",
    }
    # The one that failed has gone on, and no other run was started.
    assert len(children(hand)) == 3


# -- what cannot start ----------------------------------------------------------------


def test_a_pipeline_that_is_gone_by_then_fails_the_step_with_the_reason(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        f"steps: [{{id: refresh, pipeline: child}}, {{id: other, {OK}}},"
        f" {{id: told, {OK}, depends_on: [refresh], trigger_rule: all_done}}]\n",
    )
    run = hand.headrace.start_run("parent", {})
    (hand.headrace.settings.pipelines / "child.yaml").unlink()
    hand.headrace.pipelines.refresh()

    finish(hand)

    assert hand.statuses(run) == {"refresh": "failed", "other": "completed", "told": "completed"}
    error = hand.jobs(run)["refresh"]["error"]
    assert error.startswith('no run of child was started: no pipeline is named "child"')
    assert row_of(hand, run)["status"] == "failed"


def test_parameters_that_do_not_fit_fail_the_step_with_all_that_is_wrong(hand: ByHand) -> None:
    declare(hand, "child", f"params: {{n: {{type: integer}}}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "params: {n: {default: many}}\n"
        'steps: [{id: refresh, pipeline: child, with: {n: "{{ params.n }}"}}]\n',
    )

    run = run_to_end(hand, "parent")

    assert hand.statuses(run) == {"refresh": "failed"}
    assert 'parameter "n" is "many", not an integer' in hand.jobs(run)["refresh"]["error"]
    assert run["status"] == "failed"
    assert children(hand) == []


def test_a_paused_pipeline_is_not_run_and_a_retry_runs_it_once_resumed(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    hand.headrace.interventions.pause("child")

    run = run_to_end(hand, "parent")

    assert "it is paused" in hand.jobs(run)["refresh"]["error"]
    hand.headrace.interventions.resume("child")
    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)
    assert row_of(hand, run)["status"] == "completed"


def test_a_pipeline_that_would_run_itself_by_a_later_edit_is_stopped(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = hand.headrace.start_run("parent", {})
    declare(hand, "parent", f"steps: [{{id: other, {OK}}}]\n")
    declare(hand, "child", "steps: [{id: back, pipeline: parent}]\n")

    finish(hand)

    (child,) = children(hand)
    assert "parent runs child runs parent" in hand.jobs(child)["back"]["error"]
    assert row_of(hand, run)["status"] == "failed"


# -- limits ---------------------------------------------------------------------------


def test_a_child_above_its_limit_is_waited_for(hand: ByHand) -> None:
    declare(hand, "child", f"concurrency: {{limit: 1}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: each, pipeline: child, foreach: {items: [1, 2, 3]}}]\n")

    run = start(hand, "parent")

    assert [child["status"] for child in children(hand)] == ["running", "queued", "queued"]
    finish(hand)
    assert row_of(hand, run)["status"] == "completed"


@pytest.mark.parametrize(("rule", "ended"), [("skip", "was skipped"), ("fail", "has failed")])
def test_a_child_that_its_limit_refuses_fails_the_step_with_the_reason(
    hand: ByHand, rule: str, ended: str
) -> None:
    declare(
        hand,
        "child",
        f"concurrency: {{limit: 1, on_conflict: {rule}}}\nsteps: [{{id: one, {OK}}}]\n",
    )
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    hand.headrace.start_run("child", {})

    run = start(hand, "parent")
    finish(hand)

    error = hand.jobs(run)["refresh"]["error"]
    assert f"of child {ended}: 1 run is running of the 1" in error
    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)
    assert row_of(hand, run)["status"] == "completed"


def test_a_child_whose_place_is_taken_fails_its_step(hand: ByHand) -> None:
    declare(hand, "child", f"concurrency: {{on_conflict: replace}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = start(hand, "parent")
    hand.headrace.start_run("child", {})

    finish(hand)

    assert "was cancelled: run " in hand.jobs(run)["refresh"]["error"]


# -- intervention ---------------------------------------------------------------------


def declare_three_levels(hand: ByHand) -> None:
    declare(hand, "leaf", f"concurrency: {{limit: 1}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(hand, "child", "steps: [{id: down, pipeline: leaf}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")


def test_cancelling_a_run_cancels_the_runs_below_it(hand: ByHand) -> None:
    declare_three_levels(hand)
    run = start(hand, "parent")
    tick(hand)
    (leaf,) = children(hand, "leaf")
    waiting = hand.headrace.start_run("leaf", {})
    assert (leaf["status"], waiting["status"]) == ("running", "queued")

    hand.headrace.interventions.cancel_run(str(run["id"]))

    assert [row_of(hand, one)["status"] for one in (run, *children(hand), leaf)] == [
        "cancelled"
    ] * 3
    # The place of the cancelled one is free.
    assert row_of(hand, waiting)["status"] == "running"
    finish(hand)
    assert set(hand.statuses(leaf).values()) == {"cancelled"}


def test_cancelling_the_step_cancels_its_run(hand: ByHand) -> None:
    declare_three_levels(hand)
    run = start(hand, "parent")
    tick(hand)

    hand.headrace.interventions.cancel_job(str(hand.jobs(run)["refresh"]["id"]))
    finish(hand)

    assert row_of(hand, run)["status"] == "cancelled"
    assert [one["status"] for one in (*children(hand), *children(hand, "leaf"))] == [
        "cancelled"
    ] * 2


def test_cancelling_the_child_fails_the_step(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = start(hand, "parent")

    hand.headrace.interventions.cancel_run(str(children(hand)[0]["id"]))

    assert queued(hand) == ["refresh"]
    finish(hand)
    assert hand.jobs(run)["refresh"]["error"].endswith("of child was cancelled")


def test_a_step_that_was_cancelled_before_its_start_starts_nothing(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = hand.headrace.start_run("parent", {})
    wanted = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    assert len(wanted) == 1

    hand.headrace.interventions.cancel_run(str(run["id"]))
    hand.headrace.subpipelines.start(wanted, None)

    assert children(hand) == []


def test_a_retry_goes_on_with_the_child_that_failed(hand: ByHand) -> None:
    declare(
        hand,
        "child",
        f"steps:\n  - {{id: good, {OK}}}\n"
        "  - {id: bad, job: RunSql, retry: {limit: 0}, with: {sql: select 1 from public.later}}\n"
        f"  - {{id: last, {OK}, depends_on: [good, bad]}}\n",
    )
    declare_parent = f"steps: [{{id: refresh, pipeline: child}}, {{id: z, {OK}}}]\n"
    declare(hand, "parent", declare_parent)
    run = run_to_end(hand, "parent")
    (child,) = children(hand)
    assert hand.statuses(child) == {"good": "completed", "bad": "failed", "last": "skipped"}
    with hand.headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("CREATE TABLE public.later ()")

    hand.headrace.interventions.retry_run(str(run["id"]))
    assert hand.statuses(run)["refresh"] == "waiting"
    finish(hand)

    assert row_of(hand, run)["status"] == "completed"
    assert [one["id"] for one in children(hand)] == [child["id"]]
    assert hand.jobs(child)["good"]["attempt"] == 1
    assert hand.jobs(run)["refresh"]["result"]["run"] == str(child["id"])


def test_a_child_that_was_repaired_by_itself_counts_at_the_retry(hand: ByHand) -> None:
    declare(
        hand,
        "child",
        "steps: [{id: bad, job: RunSql, retry: {limit: 0},"
        " with: {sql: select 1 from public.later}}]\n",
    )
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = run_to_end(hand, "parent")
    (child,) = children(hand)
    with hand.headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("CREATE TABLE public.later ()")
    hand.headrace.interventions.retry_run(str(child["id"]))
    finish(hand)
    assert row_of(hand, run)["status"] == "failed"

    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)

    assert row_of(hand, run)["status"] == "completed"
    assert hand.jobs(child)["bad"]["attempt"] == 2


def test_retrying_all_that_failed_repairs_parent_and_child(hand: ByHand) -> None:
    declare(
        hand,
        "child",
        "steps: [{id: bad, job: RunSql, retry: {limit: 0},"
        " with: {sql: select 1 from public.later}}]\n",
    )
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = run_to_end(hand, "parent")
    with hand.headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("CREATE TABLE public.later ()")

    hand.headrace.interventions.retry_all_failed()
    finish(hand)

    assert row_of(hand, run)["status"] == "completed"
    assert [one["status"] for one in children(hand)] == ["completed"]


def test_a_retry_after_a_cancellation_runs_the_cancelled_child_on(hand: ByHand) -> None:
    declare_three_levels(hand)
    run = start(hand, "parent")
    tick(hand)
    hand.headrace.interventions.cancel_run(str(run["id"]))

    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)

    assert row_of(hand, run)["status"] == "completed"
    assert [one["status"] for one in (*children(hand), *children(hand, "leaf"))] == [
        "completed"
    ] * 2


def test_a_retry_with_other_parameters_starts_a_new_run(hand: ByHand) -> None:
    declare(hand, "child", f"params: {{how: {{}}}}\nsteps: [{{id: one, {BAD}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n"
        "  - {id: first, job: RunSql, retry: {limit: 0}, with: {sql: select 1 from public.later}}\n"
        "  - {id: refresh, pipeline: child, depends_on: [first], trigger_rule: all_done,"
        ' with: {how: "{{ steps.first.status }}"}}\n',
    )
    run = run_to_end(hand, "parent")
    with hand.headrace.database.transaction() as tx:
        tx.connection.exec_driver_sql("CREATE TABLE public.later ()")

    hand.headrace.interventions.retry_run(str(run["id"]))
    finish(hand)

    assert [one["params"]["how"] for one in children(hand)] == ["failed", "completed"]
    assert hand.jobs(run)["refresh"]["child_run"] == children(hand)[1]["id"]


def test_pruning_leaves_a_child_to_the_step_that_has_not_looked_at_it(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = start(hand, "parent")
    rows = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    hand._execute(str(rows[0]["id"]), rows[0]["attempt"])
    assert queued(hand) == ["refresh"]

    assert prune(hand.headrace.database, 0).runs == 0
    finish(hand)

    assert row_of(hand, run)["status"] == "completed"
    assert prune(hand.headrace.database, 0).runs == 2


# -- what the daemon hears, what people see --------------------------------------------


def test_a_step_that_wants_its_run_rings_for_the_daemon(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    rung, headrace = Event(), hand.headrace
    listen(headrace.database_url, application_name="bell", heard=rung.set)
    listens = "SELECT 1 FROM pg_stat_activity WHERE query = 'LISTEN headrace_bell'"

    def up() -> object:
        with headrace.database.transaction() as tx:
            return tx.connection.exec_driver_sql(listens).scalar()

    wait_until(up)
    headrace.start_run("parent", {})

    assert rung.wait(30)


def test_the_example_of_the_guide_runs_and_show_names_parent_and_child(
    tmp_path: Path, database: str, redis_url: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    guide = (REPOSITORY / "docs/guide/pipelines.md").read_text(encoding="utf-8")
    for name, text in re.findall(r"```yaml\n# pipelines/(\w+\.yaml)\n(.*?)```", guide, re.DOTALL):
        (tmp_path / "pipelines" / name).write_text(text)
    headrace = Headrace(tmp_path, {"DATABASE_URL": database, "REDIS_URL": redis_url})

    assert "refresh: pipeline refresh_mart" in headrace("plan", "nightly").out
    done = headrace("run", "nightly")

    assert done.code == 0, done.err
    child, parent = headrace("runs", "--json").json["items"]
    assert "refresh  completed" in done.out
    shown = headrace("show", parent["id"]).out
    assert re.search(rf"refresh +refresh_mart +completed .*{child['id']}", shown)
    step = f"run {parent['id']} of nightly, step refresh"
    assert step in headrace("show", child["id"]).out
    assert headrace("show", child["id"], "--json").json["parent"]["run_id"] == parent["id"]


def test_queues_of_the_runs_below_are_known_before(hand: ByHand) -> None:
    declare(hand, "leaf", "steps: [{id: one, job: FailedJob, queue: low}]\n")
    declare(hand, "child", f"steps: [{{id: down, pipeline: leaf}}, {{id: x, queue: high, {OK}}}]\n")

    assert hand.headrace.pipelines.queues_below(["child", None]) == {"high", "medium", "low"}


# -- crashes and several daemons ------------------------------------------------------


def test_the_sweep_wakes_a_step_that_nobody_woke(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: refresh, pipeline: child}]\n")
    run = start(hand, "parent")
    with hand.headrace.database.transaction() as tx:
        # As if the worker had died between the end of the run and what follows it.
        tx.connection.exec_driver_sql(
            "UPDATE headrace.job SET status = 'completed' WHERE step = 'one';"
            "UPDATE headrace.run SET status = 'completed', finished_at = clock_timestamp()"
            " WHERE pipeline = 'child'"
        )

    tick(hand)

    assert queued(hand) == ["refresh"]
    finish(hand)
    assert row_of(hand, run)["status"] == "completed"


def test_two_daemons_start_one_run(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: each, pipeline: child, foreach: {items: [1, 2, 3]}}]\n")
    run = hand.headrace.start_run("parent", {})
    wanted = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    ready = hand.headrace.subpipelines
    threads = [Thread(target=ready.start, args=(wanted, None)) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(children(hand)) == 3
    finish(hand)
    assert row_of(hand, run)["status"] == "completed"


def test_a_daemon_that_leads_no_more_starts_nothing_and_fails_nothing(hand: ByHand) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "params: {n: {default: x}}\n"
        "steps: [{id: refresh, pipeline: child}, {id: bad, pipeline: child}]\n",
    )
    run = hand.headrace.start_run("parent", {})
    wanted = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    hand.headrace.interventions.pause("child")
    stale = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)

    for rows in (wanted, stale):
        with pytest.raises(LeadershipLost):
            hand.headrace.subpipelines.start(rows, 7)

    assert children(hand) == []
    assert hand.statuses(run) == {"refresh": "waiting", "bad": "waiting"}


def test_one_that_cannot_be_stored_does_not_keep_the_others_waiting(hand: ByHand) -> None:
    declare(hand, "child", f"params: {{text: {{}}}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n  - {id: each, pipeline: child, foreach: {items: [a, b]},"
        ' with: {text: "{{ item }}"}}\n',
    )
    run = hand.headrace.start_run("parent", {})
    rows = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    rows[0]["payload"] = {"text": "\0"}

    hand.headrace.dispatcher.send_soon(hand.headrace.subpipelines.start(rows, None))
    finish(hand)

    assert hand.statuses(run) == {"each[0]": "failed", "each[1]": "completed"}
    assert hand.jobs(run)["each[0]"]["error"].startswith("no run of child was started: ")


def test_a_step_whose_run_cannot_even_be_asked_for_fails_and_the_others_go_on(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    declare(hand, "child", f"params: {{text: {{}}}}\nsteps: [{{id: one, {OK}}}]\n")
    declare(
        hand,
        "parent",
        "steps:\n  - {id: each, pipeline: child, foreach: {items: [a, b]},"
        ' with: {text: "{{ item }}"}}\n',
    )
    run = hand.headrace.start_run("parent", {})
    subpipelines = hand.headrace.subpipelines
    rows = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    plain_plan = subpipelines._planner.plan

    def plan(pipeline: Any, given: Any, *more: Any, **named: Any) -> Any:
        if given == {"text": "a"}:
            raise RuntimeError("a mistake of ours\nin detail")
        return plain_plan(pipeline, given, *more, **named)

    monkeypatch.setattr(subpipelines._planner, "plan", plan)

    hand.headrace.dispatcher.send_soon(subpipelines.start(rows, None))
    finish(hand)

    assert hand.statuses(run) == {"each[0]": "failed", "each[1]": "completed"}
    job = hand.jobs(run)["each[0]"]
    assert job["error"] == "no run of child was started: a mistake of ours"
    assert f"no run can be planned for job {job['id']}" in caplog.messages


def test_a_database_that_goes_away_meanwhile_fails_no_step(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(hand, "child", f"steps: [{{id: one, {OK}}}]\n")
    declare(hand, "parent", "steps: [{id: a, pipeline: child}, {id: b, pipeline: child}]\n")
    run = hand.headrace.start_run("parent", {})
    subpipelines = hand.headrace.subpipelines
    rows = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)

    def plan(*_given: Any, **_named: Any) -> Any:
        raise StoreUnavailable("it is down")

    with monkeypatch.context() as down:
        down.setattr(subpipelines._planner, "plan", plan)
        with pytest.raises(StoreUnavailable):
            subpipelines.start(rows, None)
    assert children(hand) == []
    assert hand.statuses(run) == {"a": "waiting", "b": "waiting"}

    # Of many large ones a turn starts the first; the others are wanted still.
    monkeypatch.setattr("headrace.engine.scheduling.subpipelines._MOST_JOBS", 0)
    hand.headrace.dispatcher.send_soon(subpipelines.start(rows, None))
    assert len(children(hand)) == 1
    left = hand.headrace.database.rows(queries.WANTED_CHILDREN, limit=MOST_RUNS)
    assert len(left) == 1
