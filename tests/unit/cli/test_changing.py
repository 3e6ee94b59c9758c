"""What `retry`, `cancel`, `pause`, `resume` and `prune` say of what they have done."""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import backfill as filling
from headrace.cli import intervening
from headrace.cli.arguments import parser
from headrace.engine.operations import partial_files, retention
from headrace.errors import ConfigError, NotFound

Say = Callable[..., str]


@pytest.fixture
def headrace() -> Any:
    row: dict[str, Any] = {
        "id": "R",
        "status": "running",
        "plan": {},
        "run_id": "R",
        "parent_job": None,
    }
    return SimpleNamespace(
        settings=SimpleNamespace(
            retention_s=86400.0, log_retention_s=None, outputs=lambda: [Path("/out")]
        ),
        database=SimpleNamespace(row=lambda *_, **__: row),
        pipelines=SimpleNamespace(get=lambda name: SimpleNamespace(name=name)),
        keep_last_good=lambda: None,
        interventions=SimpleNamespace(
            retry_all_failed=lambda: (["A", "B"], []),
            retry_run=lambda _id: row,
            retry_job=lambda _id: {**row, "id": "J", "status": "queued"},
            cancel_run=lambda _id: {**row, "status": "cancelled"},
            cancel_job=lambda _id: {**row, "id": "J", "status": "cancelled"},
            pause=lambda _name, **_: (3, ["A"]),
            resume=lambda _name: None,
        ),
    )


@pytest.fixture
def say(headrace: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Return what a command prints; an id with R names a run, with J a job."""
    kinds = {"R": "run", "J": "job", "p": "pipeline"}
    monkeypatch.setattr(intervening, "installation", lambda _given: nullcontext(headrace))
    monkeypatch.setattr(intervening, "find", lambda _h, text: (kinds[text], {"id": text}))
    monkeypatch.setattr("headrace.engine.catalog.repeat_command.line_for", lambda *_: "LINE")

    def call(line: str) -> str:
        name, *words = line.split()
        assert not getattr(intervening, name)(parser().parse_args([name, *words]))
        return capsys.readouterr().out

    return call


KEPT = "It continues with the plan with which it was started. To run the current one:\n  LINE\n"


def test_retry_and_cancel_say_what_became_of_which(say: Say, headrace: Any):
    assert say("retry R") == f"run R is running\n{KEPT}"
    assert say("retry J") == f"job J is queued\n{KEPT}"
    assert json.loads(say("retry J --json"))["id"] == "J"
    assert "plan" not in json.loads(say("retry R --json"))
    assert say("retry --all-failed") == "2 failed jobs are retried.\n"
    assert json.loads(say("retry --all-failed --json")) == {
        "items": [{"id": "A"}, {"id": "B"}], "left": [],
    }  # fmt: skip
    assert say("cancel R") == "run R is cancelled\n"
    assert say("cancel J") == "job J is cancelled\n"
    # A run that another one has started, or a job of no run, has no line of its own.
    headrace.database.row = lambda *_, **__: {"parent_job": "X"}
    assert say("retry R") == "run R is running\n"
    headrace.database.row = lambda *_, **__: None
    assert say("retry J") == "job J is queued\n"


def test_retry_says_what_it_has_left_to_handlers_at_work(say: Say, headrace: Any):
    headrace.interventions.retry_all_failed = lambda: (["A"], ["B", "C"])
    assert say("retry --all-failed") == (
        "1 failed job is retried.\n"
        "Left: 2 failed jobs of runs whose handlers are at work; retry when these have ended.\n"
    )
    assert json.loads(say("retry --all-failed --json")) == {
        "items": [{"id": "A"}], "left": [{"id": "B"}, {"id": "C"}],
    }  # fmt: skip


def test_what_they_do_not_take_is_told(say: Say):
    for wrong in ("retry", "retry R --all-failed"):
        with pytest.raises(ConfigError, match="retry takes either an ID or --all-failed"):
            say(wrong)
    with pytest.raises(NotFound, match=r"p is a pipeline; this takes the id of a run or a job"):
        say("cancel p")


def test_pause_says_what_waits_and_what_was_cancelled(say: Say, headrace: Any):
    paused = "p is paused; started runs continue.\n"
    waits = "Waiting for `headrace resume p`: 2 queued runs;\n`headrace pause p --cancel-queued` cancels them.\n"  # noqa: E501
    assert say("pause p") == f"{paused}Cancelled 1 queued run.\n{waits}"
    assert json.loads(say("pause p --json")) == {
        "pipeline": "p", "paused": True, "queued": 2, "cancelled": ["A"],
    }  # fmt: skip
    headrace.interventions.pause = lambda _name, **_: (1, ["A"])
    assert say("pause p") == f"{paused}Cancelled 1 queued run.\n"
    headrace.interventions.pause = lambda _name, **_: (0, [])
    assert say("pause p") == paused
    assert say("resume p") == "p is resumed; instants that fell due meanwhile are not caught up.\n"
    assert json.loads(say("resume p --json")) == {"pipeline": "p", "paused": False}


def test_prune_says_what_is_gone_and_takes_logs_by_their_own_retention(
    say: Say, headrace: Any, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Any] = []
    pruned = retention.Pruned()

    def prune(_database: Any, age_s: float) -> Any:
        asked.append(("runs", age_s))
        return pruned

    def prune_logs(_database: Any, age_s: float) -> int:
        asked.append(("logs", age_s))
        return 4

    monkeypatch.setattr(retention, "prune", prune)
    monkeypatch.setattr(retention, "prune_logs", prune_logs)
    monkeypatch.setattr(partial_files, "remove_partials", lambda _database, _folders: 5)
    monkeypatch.setattr(intervening, "_delete_expired", lambda _headrace: 6)
    pruned.runs, pruned.jobs = 2, 3
    headrace.settings.log_retention_s = 3600.0
    whole = (
        "Deleted 2 runs and 3 jobs.\nDeleted the logs, not the rows, of 4 jobs.\n"
        "Deleted 6 rows of the audit trail.\nRemoved 5 incomplete files of stopped jobs.\n"
    )
    assert say("prune") == whole
    assert asked == [("runs", 86400.0), ("logs", 3600.0)]
    asked.clear()
    pruned.logs = 0
    assert "logs" not in say("prune --older-than 2h")
    assert asked == [("runs", 7200.0)]
    told = json.loads(say("prune --json"))
    assert told == {"runs": 2, "jobs": 3, "logs": 4, "partial_files": 5, "audit": 6}
    with pytest.raises(ConfigError, match="--older-than: "):
        say("prune --older-than soon")
    headrace.settings.retention_s = None
    with pytest.raises(ConfigError, match=re.escape("no `retention` is configured; give --older-")):
        say("prune")


def test_a_backfill_starts_one_more_as_soon_as_one_of_those_allowed_has_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from datetime import UTC, datetime

    dates = [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 5)]
    log: list[str] = []
    open_runs: set[str] = set()

    def fill(_headrace: Any, _name: str, start: Any, end: Any, *, dry_run: bool = False) -> Any:
        if dry_run:
            return [{"logical_date": one} for one in dates]
        assert start == end
        run_id = f"R{start.day}"
        open_runs.add(run_id)
        log.append(f"+{len(open_runs)}")
        return [{"id": run_id, "logical_date": start}] if start.day != 3 else []

    def rest(_seconds: float) -> None:
        log.append("rest")
        open_runs.discard(min(open_runs))

    def row(_name: str, id: str) -> Any:  # noqa: A002
        return {"status": "running" if id in open_runs else "completed"} if id != "R2" else None

    monkeypatch.setattr("headrace.engine.operations.backfill.backfill", fill)
    monkeypatch.setattr("headrace.cli.backfill.time.sleep", rest)
    headrace: Any = SimpleNamespace(
        pipelines=SimpleNamespace(get=lambda name: SimpleNamespace(name=name, schedules=())),
        database=SimpleNamespace(row=row),
    )
    monkeypatch.setattr(filling, "clock_of", lambda _pipeline: "UTC")
    given: Any = SimpleNamespace(pipeline="p", max_active=2)

    rows = filling._paced(headrace, given, dates[0], dates[-1])

    assert [one["id"] for one in rows] == ["R1", "R2", "R4"]
    assert log[:2] == ["+1", "+2"]
    # The second one was deleted, and holds up nobody.
    assert log[2] == "+3"
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "2026-01-01 00:00:00 UTC  R1 started"
    assert len(told) == 3
