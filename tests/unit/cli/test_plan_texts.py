"""What `plan`, `cron` and `validate --explain` print, whole."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import explaining, forecasting, plan_diff, planning
from headrace.cli.arguments import parser
from headrace.errors import ConfigError, Problem
from headrace.model.forecast import FileForecast, Forecast, TableForecast

WHOLE = """\
name: whole
description: All rules.
schedule: {cron: "0 6 * * *", timezone: Europe/Berlin}
params: {n: {type: integer, default: 5}}
steps:
  - {id: first, job: Fibonacci, queue: low, with: {n: "{{ params.n }}"}, env: {A: b}}
  - id: each
    job: Fibonacci
    depends_on: [first]
    foreach: {items: [1, 2], as: one, max_concurrent: 2}
    trigger_rule: all_done
    when: "{{ params.n > 1 }}"
    with: {n: "{{ one }}"}
  - {id: load, job: RunSql, depends_on: [first, each], with: {sql: "SELECT {{ params.n }}"}}
handlers:
  failure: [{id: tell, job: Fibonacci, with: {n: 1}}]
  finally: [{id: tidy, job: Fibonacci, with: {n: 2}}]
"""

Shown = Callable[[str], str]


@pytest.fixture
def shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shown:
    """Return what a command prints in a project."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "whole.yaml").write_text(WHOLE)
    (tmp_path / "pipelines" / "plain.yaml").write_text(
        "name: plain\nsteps: [{id: only, job: Fibonacci, with: {n: 1}}]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def call(line: str) -> str:
        name, *words = line.split()
        given = parser().parse_args([name, *words])
        assert not getattr(planning, name)(given)
        return capsys.readouterr().out

    return call


PLANNED = """\
whole (pipelines/whole.yaml)
  All rules.
logical date 2026-07-01 00:00:00 +02:00 Europe/Berlin
param n = 5

wave 1
  first: Fibonacci on low
    n: 5
    env A: "b"

wave 2
  each[0]: Fibonacci on medium after first
    at a time: 2 of the step
    trigger_rule: all_done
    when: {{ params.n > 1 }}
    n: 1
  each[1]: Fibonacci on medium after first
    at a time: 2 of the step
    trigger_rule: all_done
    when: {{ params.n > 1 }}
    n: 2

wave 3
  load: RunSql on medium after first, each[0], each[1]
    params: {"n": 5}
    | SELECT :p1;
    :p1 = 5

wave 4
  tell: Fibonacci on medium
    handler: failure
    n: 1

wave 5
  tidy: Fibonacci on medium
    handler: finally
    n: 2

"""


def test_a_plan_shows_each_step_in_its_wave_with_its_rules_and_sql(shown: Shown):
    told = shown("plan whole --logical-date 2026-07-01")

    steps, upcoming = told[: len(PLANNED)], told[len(PLANNED) :].splitlines()
    assert steps == PLANNED
    assert len(upcoming) == 5
    assert all(re.fullmatch(r"next .* 06:00:00 \+0[12]:00", line) for line in upcoming)
    plain = shown("plan plain").splitlines()
    assert plain[-1] == "next: no schedule, starts manually"
    program = json.loads(shown("plan whole --logical-date 2026-07-01 --json"))
    assert len(program.pop("version")) == 64
    assert len(program.pop("next_instants")) == 5
    first, *_, load, _, tidy = program.pop("steps")
    assert program == {
        "pipeline": "whole", "logical_date": "2026-06-30T22:00:00+00:00", "params": {"n": 5},
        "timezone": "Europe/Berlin", "trigger": None,
    }  # fmt: skip
    assert first == {
        "id": "first", "wave": 1, "job": "Fibonacci", "queue": "low", "depends_on": [],
        "trigger_rule": "all_success", "when": None, "with": {"n": 5}, "timeout_s": 300.0,
        "late": False, "handler": None, "pool": None, "slots": None, "env": {"A": "b"},
        "foreach": None, "sql": None, "data": None,
    }  # fmt: skip
    assert (load["wave"], load["depends_on"]) == (3, ["first", "each[0]", "each[1]"])
    assert [one["text"] for one in load["sql"]["statements"]] == ["SELECT :p1"]
    assert (tidy["wave"], tidy["handler"]) == (5, "finally")


@pytest.mark.parametrize(
    ("handlers", "waves"),
    [(["failure", "finally"], [2, 3]), (["finally"], [2]), (["success", "failure"], [2, 2])],
)
def test_what_is_done_finally_comes_after_the_other_handlers(handlers: list[str], waves: list[int]):
    jobs = [SimpleNamespace(step="a", depends_on=(), handler=None)]
    jobs += [SimpleNamespace(step=one, depends_on=(), handler=one) for one in handlers]
    planned: Any = SimpleNamespace(jobs=jobs)

    assert [planning._waves(planned)[one] for one in ("a", *handlers)] == [1, *waves]


def test_the_rules_of_a_step_whose_items_are_known_later(capsys: pytest.CaptureFixture[str]):
    job: Any = SimpleNamespace(
        foreach={"as": "one", "items": "{{ steps.a.result }}"}, handler=None, slots=3, pool="db",
        trigger_rule="all_success", when=None,
    )  # fmt: skip
    planning._print_rules(job)

    assert capsys.readouterr().out.splitlines() == [
        '    foreach one in "{{ steps.a.result }}": their number is known at its start',
        "    at a time: 3 of db",
    ]


# -- cron -----------------------------------------------------------------------------


def test_a_calendar_of_options_needs_a_country_for_all_but_working_days():
    def calendar(**given: Any) -> Any:
        known = {"days": None, "country": None, "subdivision": None, **given}
        return planning._calendar_of(SimpleNamespace(**known))  # type: ignore[arg-type]

    assert calendar() is None
    working = calendar(days="working")
    assert (working.days, working.country) == ("working", None)
    holidays = calendar(days="holidays", country="DE", subdivision="BE")
    assert (holidays.days, holidays.country, holidays.subdivision) == ("holidays", "DE", "BE")
    assert calendar(country="DE").days == "working"
    for wrong, told in (
        ({"subdivision": "BE"}, "--subdivision needs a --country"),
        ({"days": "holidays"}, "--days holidays needs a --country"),
        ({"country": "XX"}, "XX"),
        ({"country": "DE", "subdivision": "ZZ"}, "ZZ"),
    ):
        with pytest.raises(ConfigError, match=told):
            calendar(**wrong)


# -- forecasts ------------------------------------------------------------------------


def test_a_forecast_tells_files_rows_tables_and_what_it_leaves_out():
    table = TableForecast("a.b", insert=1000, update=0, delete=None, restore=2, creates=True,
                          add_columns=("c",), changes=("its key changes",))  # fmt: skip
    files = [FileForecast("f.csv", 1234), FileForecast("g.csv", None, "was read before")]
    files += [FileForecast(f"n{number}") for number in range(9)]
    forecast = Forecast((table,), tuple(files), 1, ("without the rejected ones",), "no right")
    told: Any = SimpleNamespace(forecast=forecast, unknown=None, fails=None)

    lines = list(forecasting.forecast_lines(told))

    assert lines[:2] == [
        "    data: reads f.csv (1,234 bytes)",
        "    data: does not read g.csv: it was read before",
    ]
    assert lines[10:] == [
        "    data: and 1 file more",
        "    data: 1 row to read",
        "    data: a.b: is created; 1,000 to insert, 0 to update, 2 to restore",
        "    data: a.b: adds the column c",
        "    data: a.b: its key changes",
        "    data: without the rejected ones",
        "    data: would fail: no right",
    ]
    few = Forecast((), tuple(files[:10]), 2)
    told = SimpleNamespace(forecast=few, unknown="a", fails="b")
    assert list(forecasting.forecast_lines(told))[10:] == [
        "    data: 2 rows to read", "    data: not known: a", "    data: would fail: b",
    ]  # fmt: skip
    for nothing in (None, Forecast((), ())):
        told = SimpleNamespace(forecast=nothing, unknown=None, fails=None)
        assert list(forecasting.forecast_lines(told)) == []


@pytest.mark.parametrize(
    ("diff", "timeout", "told"),
    [
        (True, "5s", "--data and --diff do not go together"),
        (False, "soon", "--data-timeout: "),
        (False, "0s", "--data-timeout must be more than nothing"),
    ],
)
def test_a_time_for_a_forecast_that_is_none_is_told(diff: bool, timeout: str, told: str):
    given: Any = SimpleNamespace(diff=diff, data_timeout=timeout)

    with pytest.raises(ConfigError, match=told):
        forecasting.timeout_of(given)
    assert forecasting.timeout_of(SimpleNamespace(diff=False, data_timeout="2m")) == 120  # type: ignore[arg-type]


# -- differences ----------------------------------------------------------------------

RUNNING = SimpleNamespace(version="v" * 64, loaded_at=None, file="old.yaml")
PROBLEM = Problem("a.yaml", 1, 1, "x", "bad")


@pytest.mark.parametrize(
    ("running", "on_disk", "problems", "changes", "verdict", "told"),
    [
        (None, "v", [], 0, "new", "the daemon does not run it yet; its file is new"),
        (None, None, [PROBLEM], 0, "invalid", "does not run it, and the file is invalid"),
        (RUNNING, None, [PROBLEM], 0, "invalid", "is invalid; the daemon continues with version"),
        (RUNNING, None, [], 0, "removed", "the file is missing; the daemon runs version vvvvvvvvv"),
        (RUNNING, "w", [], 1, "both", "1 difference from what the daemon runs (version"),
        (RUNNING, "w", [], 2, "both", "2 differences from what the daemon runs"),
        (RUNNING, "w", [], 0, "both", "no difference except in comments or layout"),
        (
            RUNNING,
            "v" * 64,
            [],
            0,
            "both",
            "no difference (the daemon runs version vvvvvvvvvvvv, l",
        ),
    ],
)
def test_how_a_file_stands_to_what_runs_is_told_in_one_line(
    running: Any, on_disk: str | None, problems: Any, changes: int, verdict: str, told: str
):
    there: Any = on_disk and SimpleNamespace(version=on_disk, file="a.yaml")
    compared = plan_diff._Compared("p", running, there, problems)

    assert compared.verdict == verdict
    headline = plan_diff._headline(compared, [None] * changes)  # type: ignore[list-item]
    assert headline.startswith("p: ")
    assert told in headline


def change(kind: str, path: tuple[Any, ...], old: Any, new: Any, lines: Any = None) -> Any:
    return SimpleNamespace(kind=kind, path=path, old=old, new=new, subject="S",
                           text_lines=lambda: lines)  # fmt: skip


@pytest.mark.parametrize(
    ("one", "told"),
    [
        (change("changed", ("timeout",), "1m", 2), '~ f: S "1m" → 2\n'),
        (change("changed", ("steps", "a", "with"), "x", "y", ["- x", "+ y", ""]),
         "~ f: S changed\n    - x\n    + y\n\n"),
        (change("added", ("steps", "a"), None, {"job": "RunSql"}), "+ f: S added, RunSql\n"),
        (change("removed", ("steps", "a"), {"pipeline": "q"}, None),
         "- f: S removed, pipeline q\n"),
        (change("added", ("steps", "a", "env"), None, {"A": "é"}), '+ f: S added, {"A": "é"}\n'),
        (change("removed", ("handlers", "failure", "t"), {"job": "J"}, None),
         "- f: S removed, J\n"),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_its_values_or_its_lines(
    one: Any, told: str, capsys: pytest.CaptureFixture[str]
):
    plan_diff._print_change(one, "f")

    assert capsys.readouterr().out == told


def test_of_a_file_that_tells_no_name_its_own_errors_are_told():
    def problem(file: str, severity: str = "error") -> Problem:
        return Problem(file, 1, 1, "bad-yaml", "m", "h", severity)

    there: Any = SimpleNamespace(
        problems=[
            problem("pipelines/b.yaml"),
            problem("pipelines/a.yaml", "warning"),
            mine := problem("pipelines/a.yaml"),
        ]
    )

    assert plan_diff._problems_of("/srv/pipelines/a.yaml", there) == [mine]


# -- explained ------------------------------------------------------------------------


def test_what_became_of_statements_is_counted(capsys: pytest.CaptureFixture[str]):
    def looked(outcome: str, told: str = "", **more: Any) -> Any:
        place = {"file": "a.yaml", "line": 3, "column": 5, "step": "s", "cost": 1.5, "rows": 1}
        return SimpleNamespace(outcome=outcome, told=told, **{**place, **more})

    listed = [looked("explained"), looked("explained", rows=2000), looked("failed"),
              looked("noted"), looked("skipped", "a value is not known"),
              looked("skipped", "no parameter"), looked("skipped", "no parameter")]  # fmt: skip
    found: Any = SimpleNamespace(looked=listed, unreachable={"shop": "no answer"})
    explaining.print_estimates(found)
    explaining.print_summary(found)

    out, err = capsys.readouterr()
    first, second, summary = out.splitlines()
    assert first == 'a.yaml:3:5: step "s": cost 1.50, 1 row'
    assert second == 'a.yaml:3:5: step "s": cost 1.50, 2,000 rows'
    assert summary == (
        "2 statements explained, 1 failed, 1 noted, 3 skipped"
        " (2 where no parameter; 1 where a value is not known)"
    )
    assert err == "shop: no answer\n"
    explaining.print_summary(SimpleNamespace(looked=listed[:1], unreachable={}))  # type: ignore[arg-type]
    assert capsys.readouterr().out == "1 statement explained\n"
