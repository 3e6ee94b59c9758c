"""`headrace logs --follow`: what is printed after the lines that have come."""

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import growing_log, job_logs
from headrace.cli.arguments import parser

NOTHING = "No log lines.\n"
LINE = {"job_id": 1, "attempt": 1, "line": 1, "at": None, "level": "info", "message": "done"}


@pytest.mark.parametrize(
    ("words", "came", "asked", "told"),
    [
        ("-f", True, 0, ""),
        ("-f", False, 1, NOTHING),
        ("-f --json", True, 0, ""),
        ("-f --json", False, 0, ""),
        ("", False, 1, NOTHING),
        ("", True, 1, "- load done\n"),
        ("--json", True, 1, [{**LINE, "step": "load"}]),
        ("--json", False, 1, []),
    ],
)
def test_lines_that_have_come_are_not_printed_again_and_none_is_said_to_people(
    words: str,
    came: bool,
    asked: int,
    told: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    statements: list[str] = []

    def rows(name: str, **_of: Any) -> list[dict[str, Any]]:
        statements.append(name)
        jobs = [{"id": 1, "step": "load", "finished_at": None}]
        return jobs if name == "jobs_of_run" else [dict(LINE)] if came else []

    found = SimpleNamespace(
        database=SimpleNamespace(rows=rows), settings=SimpleNamespace(log_retention_s=None)
    )
    monkeypatch.setattr(job_logs, "installation", lambda _given: nullcontext(found))
    monkeypatch.setattr(job_logs, "newest_run", lambda *_given: {"id": 7})
    monkeypatch.setattr(growing_log, "print_growing", lambda *_given, **_how: came)

    assert job_logs.logs(parser().parse_args(["logs", *words.split()])) == 0

    assert statements.count("logs_of_jobs") == asked
    out = capsys.readouterr().out
    assert (json.loads(out)["items"] if isinstance(told, list) else out) == told
