"""What a project's own jobs do while their statements are asked for, in `validate` and `plan`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.program import main

OWN = '''
from headrace import jobapi
from headrace.errors import JobFailure
from jobs.base import BaseJob


class LooksUp(BaseJob):
    """Its statements depend on what a database says."""

    def __init__(self, at: str, rows: list | None = None, **kwargs):
        super().__init__(**kwargs)
        self.at = at

    def preview(self):
        with getattr(jobapi.current(), self.at)("shop") as found:
            return [found.run("SELECT 1")]


class Fails(BaseJob):
    def preview(self):
        raise JobFailure("there is no region eu")


class Stumbles(BaseJob):
    def preview(self):
        return [{}["no such statement"]]
'''
ASKED = (
    "session", "statements", "autocommit", "aside", "batch", "snapshot", "other", "other_alone",
)  # fmt: skip


@pytest.fixture
def asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, Any]]:
    """Calls a command about a pipeline `p` of steps with their last one `RunSql`."""
    for folder in ("jobs", "pipelines"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config.yaml").write_text("workers: 1\n")
    (tmp_path / "jobs" / "looking_up.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    for name in ("HEADRACE_CONFIG", "HEADRACE_PIPELINES", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def called(step: str, *command: str) -> tuple[int, Any]:
        last = "- {id: last, job: RunSql, with: {sql: SELECT 42 AS told}}"
        text = f"name: p\nsteps:\n- {{id: a, {step}}}\n{last}\n"
        (tmp_path / "pipelines" / "p.yaml").write_text(text)
        code = main([*command, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return called


@pytest.mark.parametrize("at", ASKED)
def test_a_job_that_asks_a_database_for_its_statements_has_none_before_a_run(
    asked: Callable[..., tuple[int, Any]], at: str
) -> None:
    step = f"job: LooksUp, with: {{at: {at}}}"

    assert asked(step, "validate") == (0, {"items": [], "valid": ["p"]})
    code, plan = asked(step, "plan", "p")

    assert code == 0
    assert sql_of(plan) == {"a": None, "last": ["SELECT 42 AS told"]}


def sql_of(plan: Any) -> dict[str, Any]:
    """Return the statements of each step, or what is said instead."""
    found = {step["id"]: step["sql"] for step in plan["steps"]}
    return {
        name: sql and (sql.get("error") or [one["text"] for one in sql["statements"]])
        for name, sql in found.items()
    }


def test_one_that_would_ask_it_and_waits_for_a_result_is_shown_without_statements(
    asked: Callable[..., tuple[int, Any]],
) -> None:
    step = 'job: LooksUp, depends_on: [last], with: {at: session, rows: "{{ steps.last.result }}"}'

    assert asked(step, "validate") == (0, {"items": [], "valid": ["p"]})
    assert sql_of(asked(step, "plan", "p")[1]) == {"a": None, "last": ["SELECT 42 AS told"]}


def test_one_without_statements_that_waits_for_a_result_is_shown_without_any(
    asked: Callable[..., tuple[int, Any]],
) -> None:
    step = 'job: Fibonacci, depends_on: [last], with: {n: "{{ steps.last.result.row_count }}"}'

    assert sql_of(asked(step, "plan", "p")[1]) == {"a": None, "last": ["SELECT 42 AS told"]}


def test_what_a_preview_refuses_is_a_mistake_and_what_it_stumbles_over_is_none(
    asked: Callable[..., tuple[int, Any]],
) -> None:
    code, told = asked("job: Fails", "validate")
    assert code == 1
    (problem,) = told["items"]
    assert problem["message"] == 'step "a": there is no region eu'
    assert (problem["line"], problem["column"], problem["code"]) == (3, 3, "refused-value")
    assert sql_of(asked("job: Fails", "plan", "p")[1])["a"] == "there is no region eu"

    assert asked("job: Stumbles", "validate") == (0, {"items": [], "valid": ["p"]})
    code, plan = asked("job: Stumbles", "plan", "p")
    assert code == 0
    assert sql_of(plan)["a"] == "KeyError: 'no such statement'"
