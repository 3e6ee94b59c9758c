"""What the language says about order and conditions, on PostgreSQL and through real jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine.attempts.outcome import Handled
from headrace.engine.gating.gate import decide
from headrace.errors import HeadraceError
from headrace.store import session_settings
from tests.support.by_hand import ByHand, by_hand

OK = "job: RunSql, with: {sql: select 1}"
FAILS = "job: FailedJob, retry: {limit: 0}"


@pytest.fixture
def hand(database: str, redis_url: str, tmp_path: Path) -> Iterator[ByHand]:
    with by_hand(database, redis_url, tmp_path) as made:
        yield made


# Steps `good` completes, `bad` fails, `left` is skipped after that failure, `off` by its condition.
RULES = {
    ("all_success", "good"): "completed",
    ("all_success", "good, bad"): "skipped",
    ("all_success", "good, left"): "skipped",
    ("all_done", "good, bad, left"): "completed",
    ("one_success", "good, bad, left"): "completed",
    ("one_success", "bad, left"): "skipped",
    ("one_failed", "good, bad, left"): "completed",
    ("one_failed", "good, left"): "completed",
    ("one_failed", "good, off"): "skipped",
    ("none_failed", "good, left"): "skipped",
    ("none_failed", "good, off"): "completed",
    ("none_failed", "good, bad"): "skipped",
    ("all_success", "good, off"): "skipped",
    ("one_success", "off, left"): "skipped",
    ("all_failed", "bad, left"): "completed",
    ("all_failed", "bad, good"): "skipped",
    ("all_failed", "bad, off"): "skipped",
    ("one_done", "off, bad"): "completed",
    ("one_done", "off, left"): "skipped",
    ("none_failed_min_one_success", "good, off"): "completed",
    ("none_failed_min_one_success", "off"): "skipped",
    ("none_failed_min_one_success", "good, left"): "skipped",
    ("always", "bad, off"): "completed",
}
# What a step that was skipped tells those below it.
REASONS = {
    ("all_success", "good, off"): "condition",
    ("all_success", "off, left"): "upstream_failed",
    ("all_success", "good, bad"): "upstream_failed",
    ("one_success", "off, left"): "upstream_failed",
    ("one_failed", "good, off"): "condition",
    ("none_failed", "good, left"): "upstream_failed",
    ("all_failed", "bad, good"): "condition",
    ("one_done", "off, left"): "upstream_failed",
    ("none_failed_min_one_success", "off"): "condition",
    ("none_failed_min_one_success", "good, left"): "upstream_failed",
}


@pytest.mark.parametrize(("rule", "needs"), RULES, ids=lambda value: value.replace(", ", "+"))
def test_a_trigger_rule_decides_by_how_the_steps_before_have_ended(
    hand: ByHand, rule: str, needs: str
) -> None:
    hand.declare(
        f"""
name: rules
steps:
  - {{id: good, {OK}}}
  - {{id: bad, {FAILS}}}
  - {{id: left, {OK}, depends_on: [bad]}}
  - {{id: off, {OK}, when: "false"}}
  - {{id: last, {OK}, depends_on: [{needs}], trigger_rule: {rule}}}
  - {{id: after, {OK}, depends_on: [last]}}
"""
    )

    run = hand.run("rules")

    statuses = hand.statuses(run)
    assert statuses["last"] == RULES[rule, needs]
    assert statuses["after"] == statuses["last"]
    assert run["status"] == "failed"


@pytest.mark.parametrize(("rule", "needs"), REASONS, ids=lambda value: value.replace(", ", "+"))
def test_a_skipped_step_remembers_whether_a_failure_was_the_reason(
    hand: ByHand, rule: str, needs: str
) -> None:
    hand.declare(
        f"""
name: reasons
steps:
  - {{id: good, {OK}}}
  - {{id: bad, {FAILS}}}
  - {{id: left, {OK}, depends_on: [bad]}}
  - {{id: off, {OK}, when: "false"}}
  - {{id: last, {OK}, depends_on: [{needs}], trigger_rule: {rule}}}
"""
    )

    jobs = hand.jobs(hand.run("reasons"))

    assert jobs["last"]["status"] == "skipped"
    assert jobs["last"]["skip_reason"] == REASONS[rule, needs]
    assert jobs["off"]["skip_reason"] == "condition"


def test_a_failure_two_steps_up_is_seen_whatever_ended_first(hand: ByHand) -> None:
    hand.declare(
        f"""
name: deep
steps:
  - {{id: off, {OK}, when: "false"}}
  - {{id: first, {OK}}}
  - {{id: bad, {FAILS}, depends_on: [first]}}
  - {{id: middle, {OK}, depends_on: [off, bad]}}
  - {{id: goes_on, {OK}, depends_on: [middle], trigger_rule: none_failed}}
  - {{id: warns, {OK}, depends_on: [middle], trigger_rule: one_failed}}
"""
    )

    statuses = hand.statuses(hand.run("deep"))

    assert statuses["middle"] == "skipped"
    assert statuses["goes_on"] == "skipped"
    assert statuses["warns"] == "completed"


def test_always_waits_for_no_step_above_it(hand: ByHand) -> None:
    hand.declare(
        f"""
name: free
steps:
  - {{id: first, {OK}}}
  - {{id: free, {OK}, depends_on: [first], trigger_rule: always}}
  - {{id: after, {OK}, depends_on: [free]}}
"""
    )

    run = hand.headrace.start_run("free", {})

    assert hand.statuses(run) == {"first": "queued", "free": "queued", "after": "waiting"}


CONDITIONS = {
    "params.n > 1": "completed",
    "{{ params.n > 2 }}": "skipped",
    "params.day.day == 31": "completed",
    "run.trigger == 'schedule'": "skipped",
    "run.logical_date.year >= 2026": "completed",
    "steps.good.status == 'completed'": "completed",
    "steps.rows.result.rows[0].n == 7": "completed",
    "steps.rows.result is none": "skipped",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_decides_once_the_steps_before_have_ended(hand: ByHand, condition: str) -> None:
    hand.declare(
        f"""
name: conditional
params: {{n: {{type: integer, default: 2}}, day: {{type: date, default: 2026-01-31}}}}
steps:
  - {{id: good, {OK}}}
  - {{id: rows, job: RunSql, with: {{sql: select 7 as n}}}}
  - {{id: last, {OK}, depends_on: [good, rows], when: "{condition}"}}
  - {{id: after, {OK}, depends_on: [last]}}
"""
    )

    run = hand.run("conditional")

    assert hand.statuses(run)["last"] == CONDITIONS[condition], hand.jobs(run)["rows"]["result"]
    assert hand.statuses(run)["after"] == CONDITIONS[condition]
    assert run["status"] == "completed"


@pytest.mark.parametrize(
    ("n", "first", "second", "third"),
    [(0, "skipped", "skipped", "completed"), (1, "completed", "completed", "completed")],
)
def test_a_first_step_is_decided_when_the_run_starts(
    hand: ByHand, n: int, first: str, second: str, third: str
) -> None:
    hand.declare(
        f"""
name: roots
params: {{n: {{type: integer, default: 0}}}}
steps:
  - {{id: first, {OK}, when: params.n > 0}}
  - {{id: second, {OK}, depends_on: [first]}}
  - {{id: third, {OK}, depends_on: [second], trigger_rule: all_done}}
"""
    )

    run = hand.run("roots", n=n)

    assert list(hand.statuses(run).values()) == [first, second, third]
    assert run["status"] == "completed"


def test_a_run_of_which_every_step_is_skipped_is_over_at_once(hand: ByHand) -> None:
    hand.declare(f"name: never\nsteps:\n  - {{id: only, {OK}, when: 1 > 2}}\n")

    run = hand.headrace.start_run("never", {})

    after = hand.headrace.database.row("run", id=run["id"])
    assert after is not None
    assert after["status"] == "completed"
    assert hand.statuses(run) == {"only": "skipped"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("all_done", "completed"),
        ("one_failed", "completed"),
        ("one_success", "skipped"),
        ("none_failed", "skipped"),
    ],
)
def test_a_condition_below_a_failure_is_looked_at_after_the_rule(
    hand: ByHand, rule: str, expected: str
) -> None:
    hand.declare(
        f"""
name: below
steps:
  - {{id: bad, {FAILS}}}
  - id: last
    {OK.replace(", with", chr(10) + "    with")}
    depends_on: [bad]
    trigger_rule: {rule}
    when: steps.bad.status == 'failed'
"""
    )

    assert hand.statuses(hand.run("below"))["last"] == expected


def test_an_error_in_a_condition_fails_the_step_with_its_message(hand: ByHand) -> None:
    hand.declare(
        f"""
name: wrong
steps:
  - {{id: load, {OK}}}
  - {{id: last, {OK}, depends_on: [load], when: "steps.load.result.rows[0].total.none > 1"}}
  - {{id: cleanup, {OK}, depends_on: [last], trigger_rule: one_failed}}
"""
    )

    run = hand.run("wrong")

    assert hand.statuses(run) == {"load": "completed", "last": "failed", "cleanup": "completed"}
    assert "when" in hand.jobs(run)["last"]["error"]
    assert run["status"] == "failed"


def test_a_condition_that_a_dead_worker_left_undecided_is_decided_by_the_sweep(
    hand: ByHand,
) -> None:
    hand.declare(
        f"name: left\nsteps:\n  - {{id: a, {OK}}}\n"
        f"  - {{id: b, {OK}, depends_on: [a], when: steps.a.status == 'completed'}}\n"
    )
    run = hand.headrace.start_run("left", {})
    (queued,) = hand.headrace.database.rows("overdue_messages", older_than_s=0)
    claimed = hand.executor.store.claim(str(queued["id"]), 0)
    assert claimed is not None
    completed = hand.executor.complete(
        claimed, Handled(None)
    )  # and dies before `release_dependants`
    assert completed.undecided
    assert hand.statuses(run)["b"] == "waiting"

    with hand.headrace.database.transaction() as tx:
        decide(tx)

    assert hand.statuses(run)["b"] == "queued"


def test_the_failure_of_a_step_that_may_fail_counts_as_success(hand: ByHand) -> None:
    hand.declare(
        f"""
name: tolerant
steps:
  - {{id: good, {OK}}}
  - {{id: bad, {FAILS}, allow_failure: true}}
  - {{id: success, {OK}, depends_on: [bad, good]}}
  - {{id: one, {OK}, depends_on: [bad], trigger_rule: one_success}}
  - {{id: none, {OK}, depends_on: [bad], trigger_rule: none_failed}}
  - {{id: failed, {OK}, depends_on: [bad], trigger_rule: one_failed}}
  - {{id: told, {OK}, depends_on: [bad], when: steps.bad.status == 'failed'}}
"""
    )

    run = hand.run("tolerant")

    assert hand.statuses(run) == {
        "good": "completed",
        "bad": "failed",
        "success": "completed",
        "one": "completed",
        "none": "completed",
        "failed": "skipped",
        "told": "completed",
    }
    assert run["status"] == "completed"


def test_a_foreach_runs_once_an_item_and_what_follows_reads_all_results(hand: ByHand) -> None:
    hand.declare(
        """
name: each
params: {numbers: {type: list, default: [3, 5, 7]}}
steps:
  - id: square
    job: RunSql
    foreach: {items: "{{ params.numbers }}", as: n}
    with:
      sql: "select power(cast({{ params.n }} as int), 2)::int as squared"
      params: {n: "{{ n }}"}
  - id: sum
    job: RunSql
    depends_on: [square]
    when: steps.square.status == 'completed' and steps.square.result | length == 3
    with:
      sql: "select cast({{ params.last }} as int) as last"
      params: {last: "{{ steps.square.result[2].rows[0].squared }}"}
"""
    )

    run = hand.run("each")

    jobs = hand.jobs(run)
    assert set(jobs) == {"square[0]", "square[1]", "square[2]", "sum"}
    assert jobs["square[1]"]["result"]["rows"] == [{"squared": 25}]
    assert jobs["sum"]["result"]["rows"] == [{"last": 49}]
    assert run["status"] == "completed"


def test_a_foreach_without_items_is_passed_over(hand: ByHand) -> None:
    hand.declare(
        f"""
name: empty
params: {{list: {{type: list, default: []}}}}
steps:
  - {{id: each, {FAILS}, foreach: {{items: "{{{{ params.list }}}}"}}}}
  - {{id: after, {OK}, depends_on: [each], when: "steps.each.result == []"}}
"""
    )
    assert hand.statuses(hand.run("empty")) == {"each": "completed", "after": "completed"}

    hand.declare(f"name: bare\nsteps:\n  - {{id: each, {FAILS}, foreach: {{items: []}}}}\n")
    assert hand.run("bare")["status"] == "completed"


def test_nobody_is_told_of_a_failure_where_there_was_nothing_to_do(hand: ByHand) -> None:
    hand.declare(
        f"""
name: nothing
steps:
  - {{id: each, {FAILS}, foreach: {{items: []}}}}
  - {{id: page, {OK}, depends_on: [each], trigger_rule: one_failed}}
  - {{id: any, {OK}, depends_on: [each], trigger_rule: one_success}}
  - {{id: off, {FAILS}, foreach: {{items: []}}, when: "false"}}
  - {{id: below, {OK}, depends_on: [off]}}
"""
    )

    assert hand.statuses(hand.run("nothing")) == {
        "each": "completed",
        "page": "skipped",
        "any": "completed",
        "off": "skipped",
        "below": "skipped",
    }


def test_one_failed_item_fails_the_step_for_what_follows(hand: ByHand) -> None:
    hand.declare(
        """
name: each
steps:
  - id: divide
    job: RunSql
    retry: {limit: 0}
    foreach: {items: [1, 0, 2]}
    with: {sql: "select 10 / cast({{ params.n }} as int) as q", params: {n: "{{ item }}"}}
  - {id: all, job: RunSql, depends_on: [divide], with: {sql: select 1}}
  - id: told
    job: RunSql
    depends_on: [divide]
    trigger_rule: all_done
    when: steps.divide.status == 'failed' and steps.divide.result[1] is none
    with: {sql: select 1}
"""
    )

    run = hand.run("each")

    statuses = hand.statuses(run)
    assert [statuses[f"divide[{n}]"] for n in range(3)] == ["completed", "failed", "completed"]
    assert (statuses["all"], statuses["told"]) == ("skipped", "completed")
    assert run["status"] == "failed"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a short transaction wait for a busy machine: PostgreSQL ends it after 3 s otherwise."""
    monkeypatch.setitem(
        session_settings._SHORT_TRANSACTION, "idle_in_transaction_session_timeout", "60s"
    )


def test_ten_thousand_items_are_expanded_and_not_one_more(patient: None, hand: ByHand) -> None:
    hand.declare(
        f"""
name: many
params: {{list: {{type: list, required: true}}}}
steps:
  - {{id: first, {OK}}}
  - id: each
    job: RunSql
    depends_on: [first]
    foreach: {{items: "{{{{ params.list }}}}"}}
    with: {{sql: "select 1", params: {{n: "{{{{ item }}}}"}}}}
  - {{id: last, {OK}, depends_on: [each]}}
"""
    )

    run = hand.headrace.start_run("many", {"list": list(range(10_000))})

    jobs = hand.jobs(run)
    assert len(jobs) == 10_002
    assert jobs["last"]["deps_left"] == 10_000
    with pytest.raises(HeadraceError, match="more than 10000"):
        hand.headrace.start_run("many", {"list": list(range(10_001))})
