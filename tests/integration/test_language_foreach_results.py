"""A foreach over what another step has returned: its jobs come into being while the run goes on."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from headrace.engine.attempts.foreach import MOST_BYTES
from headrace.engine.attempts.outcome import Handled
from headrace.engine.gating.gate import recount_stuck
from headrace.errors import IllegalTransition, StaleAttempt
from headrace.store.database import Row
from tests.support.by_hand import ByHand, by_hand
from tests.support.invariants import install_audit, violations
from tests.support.processes import wait_until
from tests.support.servers import connect

OK = "job: RunSql, with: {sql: select 1}"
FAILS = "job: FailedJob, retry: {limit: 0}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    install_audit(database)
    with by_hand(database, redis_url, tmp_path) as made:
        yield made
        assert not violations(database, settled=False)


def rows(count: int) -> str:
    return f"select n, 'r' || n as name from generate_series(1, {count}) n"


def claimed(hand: ByHand, run: Mapping[str, Any], step: str) -> Any:
    """Have a worker claim a queued step."""
    job = hand.jobs(run)[step]
    found = hand.executor.store.claim(str(job["id"]), job["attempt"])
    assert found is not None
    return found


def handled(hand: ByHand, attempt: Any) -> Handled:
    done = hand.executor.handle(attempt)
    assert isinstance(done, Handled), done
    return done


def results(hand: ByHand, run: Mapping[str, Any], step: str) -> Any:
    return hand.jobs(run)[step]["result"]["rows"]


def after(hand: ByHand, run: Mapping[str, Any]) -> Row:
    row = hand.headrace.database.row("run", id=run["id"])
    assert row is not None
    return row


MAP_REDUCE = """
name: regions
params: {{factor: {{type: integer, default: 10}}}}
steps:
  - id: list
    job: RunSql
    with: {{sql: "{list}"}}
  - id: each
    job: RunSql
    depends_on: [list]
    foreach: {{items: "{{{{ steps.list.result.rows }}}}", as: region}}
    with:
      sql: >-
        select {{{{ params.name }}}}::text as name,
               {{{{ params.n }}}}::int * {{{{ params.factor }}}} as n
      params: {{name: "{{{{ region.name }}}}", n: "{{{{ region.n }}}}"}}
  - id: total
    job: RunSql
    depends_on: [each]
    with:
      sql: "select {{{{ params.all | length }}}}::int as jobs, {{{{ params.sum }}}}::int as sum"
      params:
        all: "{{{{ steps.each.result }}}}"
        sum: >-
          {{{{ steps.each.result | map(attribute='rows') | map('first') | sum(attribute='n') }}}}
"""


@pytest.mark.parametrize("count", [3, 1, 0])
def test_each_row_of_a_result_gets_a_job_and_the_next_step_reads_all_their_results(
    hand: ByHand, count: int
) -> None:
    hand.declare(MAP_REDUCE.format(list=rows(count)))

    run = hand.run("regions")

    assert run["status"] == "completed"
    jobs = hand.jobs(run)
    assert list(jobs) == ["list", "each", *(f"each[{n}]" for n in range(count)), "total"]
    assert {job["status"] for job in jobs.values()} == {"completed"}
    for n in range(count):
        assert jobs[f"each[{n}]"]["job_class"] == "RunSql"
        assert results(hand, run, f"each[{n}]") == [{"name": f"r{n + 1}", "n": 10 * (n + 1)}]
    assert results(hand, run, "total") == [{"jobs": count, "sum": 5 * count * (count + 1)}]


SECOND_FAILS = (
    "job: RunSql, retry: {limit: 0}, with: {sql: 'select 1 / ({{ params.n }} - 2) as n',"
    ' params: {n: "{{ item }}"}}'
)
# How a literal foreach and one over a result compare: (its step, what follows it), items.
FOLLOWING = {
    "all succeed": (OK, "[1, 2, 3]"),
    "no items": (OK, "[]"),
    "one": (OK, "[1]"),
    "all fail": (FAILS, "[1, 2]"),
    "all fail and may": (f"{FAILS}, allow_failure: true", "[1, 2]"),
    "at a time": (OK, "[1, 2, 3]"),
    "not now": (f"{OK}, when: 1 > 2", "[1, 2]"),
    "one fails": (SECOND_FAILS, "[1, 2, 3]"),
}
RULES = ["all_success", "all_done", "one_success", "one_failed", "none_failed"]


def observed(hand: ByHand, name: str, step: str, items: str, limit: str, bad: str) -> Any:
    """Run a foreach and everything that may follow one; return what is to be seen of it."""
    following = "".join(
        f"  - {{id: {rule}{suffix}, {OK}, depends_on: [each{more}], trigger_rule: {rule}}}\n"
        for rule in RULES
        for suffix, more in (("", ""), ("_2", f", {bad}"))
    )
    hand.declare(
        f"name: {name}\nsteps:\n"
        f"  - {{id: list, {OK}}}\n  - {{id: {bad}, {FAILS}, allow_failure: false}}\n"
        f"  - {{id: each, {step}, depends_on: [list], foreach: {{items: {items}{limit}}}}}\n"
        f"{following}"
        '  - {id: seen, job: RunSql, depends_on: [each], trigger_rule: all_done, with: {sql: "'
        'select {{ params.status }}::text as status, {{ params.result }}::text as result", params:'
        ' {status: "{{ steps.each.status }}", result: "{{ steps.each.result }}"}}}\n'
        f"  - {{id: judged, {OK}, depends_on: [each], trigger_rule: all_done,"
        " when: steps.each.status == 'completed'}\n"
        "handlers:\n"
        f"  success: [{{id: good, {OK}}}]\n"
        f"  failure: [{{id: told, {OK}, when: steps.each.status == 'failed'}}]\n"
    )
    run = hand.run(name)
    jobs = hand.jobs(run)
    statuses = {step: job["status"] for step, job in jobs.items() if step != "each"}
    outcome = {step: job["result"] for step, job in jobs.items() if step.startswith("each[")}
    assert statuses["seen"] == "completed", jobs["seen"]["error"]
    return run["status"], statuses, outcome, results(hand, run, "seen")


@pytest.mark.parametrize("case", FOLLOWING)
def test_a_foreach_over_a_result_is_to_its_followers_as_one_over_a_list(
    hand: ByHand, case: str
) -> None:
    step, items = FOLLOWING[case]
    limit = ", max_concurrent: 2" if case == "at a time" else ""
    late = f'"{{{{ {items} if steps.list.result else 1 }}}}"'

    literal = observed(hand, "literal", step, items, limit, "bad")
    over_results = observed(hand, "over_results", step, late, limit, "bad")

    if case == "not now":
        # How many there would have been was never asked.
        assert literal[1].pop("each[0]") == literal[1].pop("each[1]") == "skipped"
        assert (over_results[0], over_results[1]) == (literal[0], literal[1])
        return
    assert over_results == literal


def test_one_success_waits_for_an_item_and_not_for_the_making_of_them(hand: ByHand) -> None:
    hand.declare(
        "name: rules\nsteps:\n"
        f"  - {{id: list, {OK}}}\n"
        f'  - {{id: each, {OK}, depends_on: [list], foreach: {{items: "{{{{ [1, 2] if steps.list'
        '.status }}"}}\n'
        f"  - {{id: soon, {OK}, depends_on: [each], trigger_rule: one_success}}\n"
    )
    run = hand.headrace.start_run("rules", {})
    for step in ("list", "each"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )
    assert hand.statuses(run)["soon"] == "waiting"

    attempt = claimed(hand, run, "each[1]")
    hand.executor.progress.release_dependants(
        [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
    )

    assert hand.statuses(run)["soon"] == "queued"
    hand.work()
    assert after(hand, run)["status"] == "completed"


def test_items_run_as_many_at_a_time_as_the_step_says(hand: ByHand) -> None:
    hand.declare(
        "name: limited\nsteps:\n"
        f"  - {{id: list, job: RunSql, with: {{sql: {json.dumps(rows(5))}}}}}\n"
        f"  - {{id: each, {OK}, depends_on: [list],"
        ' foreach: {items: "{{ steps.list.result.rows }}", max_concurrent: 2}}\n'
        f"  - {{id: last, {OK}, depends_on: [each]}}\n"
    )
    run = hand.headrace.start_run("limited", {})
    for step in ("list", "each"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )

    statuses = hand.statuses(run)
    assert [statuses[f"each[{n}]"] for n in range(5)] == ["queued"] * 2 + ["waiting"] * 3
    hand.work()

    assert set(hand.statuses(run).values()) == {"completed"}
    assert after(hand, run)["status"] == "completed"


SIMPLE = f"""
name: simple
steps:
  - {{id: list, job: RunSql, with: {{sql: "{rows(3)}"}}}}
  - {{id: each, {OK}, depends_on: [list], foreach: {{items: "{{{{ steps.list.result.rows }}}}"}}}}
  - {{id: last, {OK}, depends_on: [each]}}
"""


def test_an_attempt_that_is_over_makes_no_jobs(hand: ByHand) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    attempt = claimed(hand, run, "list")
    hand.executor.progress.release_dependants(
        [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
    )
    late = claimed(hand, run, "each")
    ready = handled(hand, late)
    hand.headrace.database.rows(
        "lose_attempts",
        attempts=json.dumps([{"id": str(late.id), "attempt": late.attempt}]),
        outcome="crashed",
        error="its worker died",
        crash_budget=3,
    )

    with pytest.raises(StaleAttempt):
        hand.executor.complete(late, ready)
    assert "each[0]" not in hand.jobs(run)
    hand.work()

    assert after(hand, run)["status"] == "completed"
    assert hand.jobs(run)["each"]["attempt"] == 2
    assert sum(step.startswith("each[") for step in hand.jobs(run)) == 3


def test_a_run_that_is_cancelled_while_items_are_made_cancels_them(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    attempt = claimed(hand, run, "list")
    hand.executor.progress.release_dependants(
        [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
    )
    each = claimed(hand, run, "each")
    ready = handled(hand, each)
    cancel = Thread(target=hand.headrace.interventions.cancel_run, args=(str(run["id"]),))

    def cancelled_meanwhile(point: str) -> None:
        if point == "expanded":
            cancel.start()
            wait_until(lambda: waits_for_lock(hand), what="the cancellation's wait")

    monkeypatch.setattr("headrace.engine.attempts.foreach.crash_point", cancelled_meanwhile)

    hand.executor.complete(each, ready)
    cancel.join()

    statuses = hand.statuses(run)
    assert statuses.pop("list") == statuses.pop("each") == "completed"
    assert set(statuses) == {"each[0]", "each[1]", "each[2]", "last"}
    assert set(statuses.values()) == {"cancelled"}
    assert after(hand, run)["status"] == "cancelled"


def waits_for_lock(hand: ByHand) -> bool:
    return bool(
        execute(
            hand,
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database()",
        )
    )


def test_a_cancelled_run_goes_on_with_the_items_that_it_had(hand: ByHand) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    for step in ("list", "each", "each[0]"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )
    hand.headrace.interventions.cancel_run(str(run["id"]))
    assert hand.statuses(run)["each[0]"] == "completed"

    hand.headrace.interventions.retry_run(str(run["id"]))
    hand.work()

    assert after(hand, run)["status"] == "completed"
    assert list(hand.jobs(run)) == ["list", "each", "each[0]", "each[1]", "each[2]", "last"]
    assert hand.jobs(run)["each"]["attempt"] == 1


def test_a_step_that_was_cancelled_before_its_items_were_made_makes_them_after_a_retry(
    hand: ByHand,
) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    attempt = claimed(hand, run, "list")
    hand.executor.progress.release_dependants(
        [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
    )
    each = str(hand.jobs(run)["each"]["id"])
    hand.headrace.interventions.cancel_job(each)
    assert hand.statuses(run) == {"list": "completed", "each": "cancelled", "last": "skipped"}

    hand.headrace.interventions.retry_job(each)
    hand.work()

    assert list(hand.jobs(run)) == ["list", "each", "each[0]", "each[1]", "each[2]", "last"]
    assert set(hand.statuses(run).values()) == {"completed"}
    assert after(hand, run)["status"] == "completed"


def test_a_job_outside_the_run_that_waits_for_the_step_waits_for_its_items(hand: ByHand) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    outside = hand.headrace.dispatcher.dispatch(
        "RunSql", {"sql": "select 1"}, depends_on=[str(hand.jobs(run)["each"]["id"])]
    )
    for step in ("list", "each", "each[0]", "each[1]"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )
    row = hand.headrace.database.row("job", id=outside)
    assert row is not None
    assert (row["status"], row["deps_left"]) == ("waiting", 1)

    hand.work()

    row = hand.headrace.database.row("job", id=outside)
    assert row is not None
    assert row["status"] == "completed"


def test_a_failed_item_is_retried_by_itself_and_what_was_skipped_goes_on(hand: ByHand) -> None:
    hand.declare(
        """
name: halves
steps:
  - {id: list, job: RunSql, with: {sql: "select n from generate_series(1, 3) n"}}
  - id: each
    job: RunSql
    depends_on: [list]
    retry: {limit: 0}
    foreach: {items: "{{ steps.list.result.rows }}"}
    with:
      sql: "select 1 / (count(*) - {{ params.n }}) as n from known"
      params: {n: "{{ item.n }}"}
  - id: last
    job: RunSql
    depends_on: [each]
    with: {sql: "select {{ params.n }}::int as n", params: {n: "{{ steps.each.result | length }}"}}
"""
    )
    execute(hand, "CREATE TABLE known AS SELECT 1 AS n FROM generate_series(1, 2)")
    run = hand.run("halves")
    jobs = hand.jobs(run)
    assert {step: job["status"] for step, job in jobs.items()} == {
        "list": "completed",
        "each": "completed",
        "each[0]": "completed",
        "each[1]": "failed",
        "each[2]": "completed",
        "last": "skipped",
    }
    assert run["status"] == "failed"
    with pytest.raises(IllegalTransition, match="completed"):
        hand.headrace.interventions.retry_job(str(jobs["each"]["id"]))
    execute(hand, "INSERT INTO known VALUES (1)")

    hand.headrace.interventions.retry_job(str(jobs["each[1]"]["id"]))
    hand.work()

    assert set(hand.statuses(run).values()) == {"completed"}
    assert hand.jobs(run)["each"]["attempt"] == 1
    assert results(hand, run, "last") == [{"n": 3}]
    assert after(hand, run)["status"] == "completed"


def execute(hand: ByHand, sql: str) -> list[tuple[Any, ...]]:
    """Run SQL from outside, committed at once."""
    opened = connect(hand.headrace.settings.database_url or "")
    with opened.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchall() if cursor.description else []
    opened.close()
    return found


def test_a_run_is_retried_after_the_step_that_lists_has_failed(hand: ByHand) -> None:
    hand.declare(SIMPLE.replace(rows(3), "select n from numbers"))
    run = hand.run("simple")
    if hand.statuses(run)["list"] == "retrying":
        hand.headrace.interventions.cancel_run(str(run["id"]))
    assert set(hand.jobs(run)) == {"list", "each", "last"}
    execute(hand, "CREATE TABLE numbers AS SELECT n FROM generate_series(1, 2) n")

    hand.headrace.interventions.retry_run(str(run["id"]))
    hand.work()

    assert list(hand.statuses(run)) == ["list", "each", "each[0]", "each[1]", "last"]
    assert set(hand.statuses(run).values()) == {"completed"}
    assert after(hand, run)["status"] == "completed"


FAULTS = {
    "{{ steps.list.result.rows[0].n }}": 'step "each", foreach.items: 1 is not a list',
    "{{ steps.list.result.rows[0].name }}": "step \"each\", foreach.items: 'r1' is not a list",
    "{{ steps.list.result.rows[0].lines }}": 'step "each", foreach.items: ',
    "{{ range(10001) | list if steps.list.status }}": "10001, more than 10000",
}


@pytest.mark.parametrize("items", FAULTS)
def test_items_that_are_none_fail_the_step_at_once_and_say_why(hand: ByHand, items: str) -> None:
    hand.declare(SIMPLE.replace("{{ steps.list.result.rows }}", items))

    run = hand.run("simple")

    each = hand.jobs(run)["each"]
    assert (each["status"], each["attempt"], run["status"]) == ("failed", 1, "failed")
    assert FAULTS[items] in each["error"]
    assert hand.statuses(run)["last"] == "skipped"


def test_every_value_that_cannot_be_rendered_with_its_item_is_told(hand: ByHand) -> None:
    hand.declare(
        SIMPLE.replace(
            "with: {sql: select 1}, depends_on: [list]",
            'with: {sql: select 1, params: {x: "{{ item.nobody }}"}}, depends_on: [list]',
        )
    )

    run = hand.run("simple")

    lines = hand.jobs(run)["each"]["error"].splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f'step "each[{n}]", with.params' for n in range(3)
    ]


def test_one_text_may_speak_of_the_item_the_parameters_and_other_steps(hand: ByHand) -> None:
    hand.declare(
        """
name: together
params: {day: {type: date, default: 2026-01-31}}
steps:
  - {id: list, job: RunSql, with: {sql: "select 'eu' as name, '{\\"k\\": [1, 2]}'::json as deep"}}
  - id: each
    job: RunSql
    depends_on: [list]
    foreach: {items: "{{ steps.list.result.rows }}", as: region}
    with:
      sql: >-
        select {{ params.text }}::text as text, {{ params.deep.k[1] }}::int as k,
               {{ params.day }}::date::text as day
      params:
        text: >-
          {{ region.name }} of {{ steps.list.result.rows | length }}
          on {{ params.day.day }} by {{ run.pipeline }}
        deep: "{{ region.deep }}"
"""
    )

    run = hand.run("together")

    assert results(hand, run, "each[0]") == [
        {"text": "eu of 1 on 31 by together", "k": 2, "day": "2026-01-31"}
    ]


def test_braces_in_an_item_are_data(hand: ByHand) -> None:
    hand.declare(
        """
name: braces
steps:
  - {id: list, job: RunSql, with: {sql: "select '{' || '{ steps.list.result }' || '}' as name"}}
  - id: each
    job: RunSql
    depends_on: [list]
    foreach: {items: "{{ steps.list.result.rows }}"}
    with: {sql: "select {{ params.x }}::text as x", params: {x: "{{ item.name }}"}}
"""
    )

    run = hand.run("braces")

    assert results(hand, run, "each[0]") == [{"x": "{{ steps.list.result }}"}]


def test_environment_variables_are_made_for_each_item(hand: ByHand) -> None:
    env = (
        'env: {N: "{{ item.n }} of {{ steps.list.result.row_count }}",'
        ' X: "${UNSET} {{ item.name }}"}'
    )
    hand.declare(SIMPLE.replace("depends_on: [list]", f"depends_on: [list], {env}"))

    run = hand.headrace.start_run("simple", {})
    for step in ("list", "each"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )

    jobs = hand.jobs(run)
    assert jobs["each"]["env"] is None
    assert jobs["each[1]"]["env"] == {"N": "2 of 3", "X": "${UNSET} r2"}


def test_a_foreach_follows_a_foreach(hand: ByHand) -> None:
    hand.declare(
        f"""
name: chain
steps:
  - {{id: list, job: RunSql, with: {{sql: "{rows(3)}"}}}}
  - {{id: one, {OK}, depends_on: [list], foreach: {{items: "{{{{ steps.list.result.rows }}}}"}}}}
  - {{id: two, {OK}, depends_on: [one], foreach: {{items: "{{{{ steps.one.result }}}}"}}}}
  - {{id: three, {OK}, depends_on: [two, one], foreach: {{items: [1, 2]}}}}
  - id: four
    job: RunSql
    depends_on: [three]
    foreach: {{items: "{{{{ steps.two.result + steps.three.result }}}}"}}
    with: {{sql: select 1}}
"""
    )

    run = hand.run("chain")

    assert run["status"] == "completed"
    assert list(hand.jobs(run)) == [
        "list",
        "one",
        *(f"one[{n}]" for n in range(3)),
        "two",
        *(f"two[{n}]" for n in range(3)),
        "three[0]",
        "three[1]",
        "four",
        *(f"four[{n}]" for n in range(5)),
    ]


def test_handlers_run_once_an_item_of_what_the_steps_have_returned(hand: ByHand) -> None:
    hand.declare(
        f"""
name: handled
steps:
  - {{id: list, job: RunSql, with: {{sql: "{rows(2)}"}}}}
  - {{id: bad, {FAILS}, depends_on: [list]}}
handlers:
  success: [{{id: glad, {OK}, foreach: {{items: "{{{{ steps.list.result.rows }}}}"}}}}]
  failure:
    - id: told
      job: RunSql
      foreach: {{items: "{{{{ steps.list.result.rows }}}}", max_concurrent: 1}}
      with:
        sql: "select {{{{ params.x }}}}::text as x"
        params: {{x: "{{{{ item.name }}}} {{{{ run.status }}}}"}}
  finally:
    - {{id: last, {OK}, foreach: {{items: "{{{{ ['a'] if run.status == 'failed' else [] }}}}"}}}}
"""
    )

    run = hand.run("handled")

    assert hand.statuses(run) == {
        "list": "completed",
        "bad": "failed",
        "glad": "skipped",
        "told": "completed",
        "told[0]": "completed",
        "told[1]": "completed",
        "last": "completed",
        "last[0]": "completed",
    }
    assert results(hand, run, "told[1]") == [{"x": "r2 failed"}]
    assert run["status"] == "failed"
    jobs = hand.jobs(run)
    assert jobs["last"]["started_at"] > jobs["told[1]"]["finished_at"]


def test_arguments_that_repeat_a_whole_result_are_refused(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_BYTES > 10_000_000
    monkeypatch.setattr("headrace.engine.attempts.foreach.MOST_BYTES", 100)
    hand.declare(
        SIMPLE.replace(
            "with: {sql: select 1}, depends_on: [list]",
            'with: {sql: select 1, params: {all: "{{ steps.list.result }}"}}, depends_on: [list]',
        )
    )

    run = hand.run("simple")

    assert "hand on what each needs" in hand.jobs(run)["each"]["error"]


def test_more_dependencies_than_can_be_are_refused(
    hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.engine.attempts.foreach.MOST_EDGES", 5)
    hand.declare(
        SIMPLE.replace("depends_on: [each]", "depends_on: [each], foreach: {items: [1, 2]}")
    )

    run = hand.run("simple")

    assert (
        "2 jobs that each wait for 3 items make 6 dependencies" in hand.jobs(run)["each"]["error"]
    )
    assert run["status"] == "failed"


def test_a_sweep_counts_the_items(hand: ByHand) -> None:
    hand.declare(SIMPLE)
    run = hand.headrace.start_run("simple", {})
    for step in ("list", "each"):
        attempt = claimed(hand, run, step)
        hand.executor.complete(
            attempt, handled(hand, attempt)
        )  # and dies before `release_dependants`
    # Whatever has gone wrong with the count.
    execute(hand, "UPDATE headrace.job SET deps_left = 7 WHERE step = 'last'")
    with hand.headrace.database.transaction() as tx:
        assert not recount_stuck(tx, 0)
    for index in range(3):
        attempt = claimed(hand, run, f"each[{index}]")
        hand.executor.complete(attempt, handled(hand, attempt))
    assert hand.statuses(run)["last"] == "waiting"

    with hand.headrace.database.transaction() as tx:
        # Whoever has ended the last item may be about to count.
        assert not recount_stuck(tx, 60)
        (message,) = recount_stuck(tx, 0)

    assert message.job_id == hand.jobs(run)["last"]["id"]
    hand.work()
    assert after(hand, run)["status"] == "completed"


def test_rows_that_a_result_does_not_hold_are_not_left_out_silently(hand: ByHand) -> None:
    hand.declare(SIMPLE.replace(rows(3), rows(101)))

    run = hand.run("simple")

    assert 'step "list" returned 101 rows' in hand.jobs(run)["each"]["error"]
    assert "keep_rows" in hand.jobs(run)["each"]["error"]
    hand.declare(SIMPLE.replace(f'sql: "{rows(3)}"', f'sql: "{rows(101)}", keep_rows: 200'))
    assert hand.run("simple")["status"] == "completed"


def test_rows_that_nobody_asks_for_need_not_be_there(hand: ByHand) -> None:
    items = "{{ [steps.list.result.rows[0].n, steps['list'].result.row_count] | list }}"
    hand.declare(SIMPLE.replace(rows(3), rows(101)).replace("{{ steps.list.result.rows }}", items))

    run = hand.run("simple")

    assert run["status"] == "completed"
    assert hand.jobs(run)["each"]["result"] == {"items": 2}


def test_the_guides_example_runs(hand: ByHand) -> None:
    guide = Path(__file__).parents[2] / "docs" / "guide" / "pipelines.md"
    section = guide.read_text(encoding="utf-8").partition("## One job per row")[2]
    hand.declare(section.partition("```yaml\n")[2].partition("```")[0])

    run = hand.run("order_sums")

    assert not [job["error"] for job in hand.jobs(run).values() if job["error"]]
    assert results(hand, run, "join") == [{"total": 375}]


def test_ten_thousand_items_become_ten_thousand_jobs(hand: ByHand) -> None:
    hand.declare(
        f"""
name: wide
steps:
  - {{id: list, {OK}}}
  - id: each
    job: RunSql
    depends_on: [list]
    foreach: {{items: "{{{{ range(10000) | list if steps.list.status }}}}"}}
    with: {{sql: select 1, params: {{n: "{{{{ item }}}}"}}}}
  - {{id: last, {OK}, depends_on: [each]}}
"""
    )
    run = hand.headrace.start_run("wide", {})
    for step in ("list", "each"):
        attempt = claimed(hand, run, step)
        hand.executor.progress.release_dependants(
            [attempt.id], hand.executor.complete(attempt, handled(hand, attempt))
        )

    jobs = hand.jobs(run)

    assert len(jobs) == 10_003
    assert jobs["each[9999]"]["payload"]["params"] == {"n": 9999}
    assert {jobs[f"each[{n}]"]["status"] for n in range(10_000)} == {"queued"}
    assert jobs["last"]["deps_left"] == 10_000
    assert jobs["each"]["result"] == {"items": 10_000}
