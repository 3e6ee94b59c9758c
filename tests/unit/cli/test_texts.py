"""Texts that commands make of rows: tables, bars, lines of a run, of a schedule, of a log."""

import json
import signal
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.cli import printing, run_client
from headrace.cli.declaration_lists import _days_text, _due, _last, _schedule_text
from headrace.cli.finding import _ambiguous
from headrace.cli.growing_log import print_growing
from headrace.cli.live_bar import progress_text
from headrace.cli.log_text import line_text
from headrace.cli.outlet import is_of_output
from headrace.cli.previewing import sql_json, sql_lines
from headrace.cli.program import _schema_is_missing
from headrace.cli.run_client import _step_line
from headrace.cli.supervisor import _reason
from headrace.errors import InvalidParams, NotFound, StoreUnavailable
from headrace.model.pipeline import Calendar, Schedule

AT = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)


def later(**span: float) -> datetime:
    return AT + timedelta(**span)


# -- times and amounts ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "2026-07-01 12:00:00 UTC"),
        ("Europe/Berlin", "2026-07-01 14:00:00 +02:00 Europe/Berlin"),
    ],
)
def test_a_time_is_shown_on_the_clock_of_its_zone(zone: str, shown: str):
    assert printing.zoned(AT, zone) == shown


def test_how_far_off_a_moment_is_is_never_less_than_now():
    assert printing.until(later(minutes=3, seconds=5), AT) == "in 3m 05s"
    assert printing.until(later(seconds=-5), AT) == "in 0.00 s"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"started_at": None}, "-"),
        ({"started_at": AT, "finished_at": later(seconds=65)}, "1m 05s"),
        ({"started_at": AT, "finished_at": later(seconds=-1)}, "0.00 s"),
        (
            {
                "started_at": AT, "finished_at": later(seconds=1), "child_started_at": AT,
                "child_finished_at": later(seconds=42),
            },
            "42 s",
        ),
        (
            {
                "started_at": AT, "finished_at": later(seconds=11), "child_started_at": AT,
                "child_finished_at": None,
            },
            "11 s",
        ),
    ],
)  # fmt: skip
def test_a_step_takes_as_long_as_the_run_that_it_has_started(row: dict[str, Any], shown: str):
    assert printing.elapsed(row) == shown


def test_what_is_under_way_takes_the_time_up_to_now(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(printing, "datetime", SimpleNamespace(now=lambda _zone: later(hours=2)))

    assert printing.elapsed({"started_at": AT, "finished_at": None}) == "2h 00m"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_250_000, "1.2 MB"), (10**9, "1.0 GB"),
     (10**12, "1.0 TB"), (10**15, "1000.0 TB")],
)  # fmt: skip
def test_bytes_are_shown_in_their_largest_unit(count: float, shown: str):
    assert printing.plain_bytes(count) == shown


def test_a_parameter_needs_a_name():
    with pytest.raises(InvalidParams, match='-p takes NAME=VALUE, not "=1"'):
        printing.params_of(["=1"])


# -- tables and json ------------------------------------------------------------------


def test_in_a_terminal_a_line_gives_way_to_its_width(monkeypatch: pytest.MonkeyPatch):
    def lines(width: int, *, live: bool = True) -> list[int]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: live)
        size = SimpleNamespace(columns=width)
        monkeypatch.setattr("headrace.cli.printing.shutil.get_terminal_size", lambda: size)
        return [len(line) for line in printing.table([("x" * 60,), ("y",)], ["NAME"])]

    assert lines(50) == [4, 50, 1]
    assert lines(60) == [4, 60, 1]
    assert lines(40) == lines(50, live=False) == [4, 60, 1]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(
        "headrace.cli.printing.shutil.get_terminal_size", lambda: SimpleNamespace(columns=41)
    )
    assert printing.table([("x" * 60,)], ["NAME"])[1] == "x" * 40 + "…"


def test_what_json_has_no_form_for_is_text(capsys: pytest.CaptureFixture[str]):
    value = {"at": AT, "day": date(2026, 1, 2), "id": UUID(int=1), "some": (1, 2), "one": {3},
             "path": Path("/a"), "exact": Decimal("1.50"), "word": "é"}  # fmt: skip
    printing.print_items([{"plan": {}, **value}])

    text = capsys.readouterr().out
    assert '"exact": 1.50' in text
    assert '"word": "é"' in text
    assert json.loads(text)["items"] == [
        {
            "at": "2026-07-01T12:00:00+00:00", "day": "2026-01-02", "id": str(UUID(int=1)),
            "some": [1, 2], "one": [3], "path": "/a", "exact": 1.5, "word": "é",
        }
    ]  # fmt: skip
    printing.print_table([], ["A"], "Nothing.")
    assert capsys.readouterr().out == "Nothing.\n"


def test_json_for_a_terminal_that_lacks_characters_is_json_all_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(printing, "encodes_everything", lambda: False)
    printing.print_json(["é"])

    assert capsys.readouterr().out == '[\n  "\\u00e9"\n]\n'


@pytest.mark.parametrize(("count", "more"), [(8, []), (9, ["  and others"])])
def test_of_ids_that_begin_alike_eight_are_listed(count: int, more: list[str]):
    rows = [
        {"kind": "job", "id": n, "name": "a.b", "status": "failed", "created_at": None}
        for n in range(count)
    ]

    told = _ambiguous("0199", rows).splitlines()

    assert told[1:] == [*(f"  job {n} a.b, failed, -" for n in range(8)), *more]


# -- progress -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        ({"share": 0.5, "rows": None, "done": 1500, "total": 3000, "unit": "bytes",
          "per_second": 100}, "[##########----------]  50 %, 1.5 kB of 3.0 kB, 100 B/s"),
        ({"share": 0.999, "rows": None, "done": 999, "total": 1000, "unit": "pages",
          "per_second": None}, "[####################]  99 %, 999 pages of 1,000 pages"),
        ({"share": 0.1, "rows": 12345, "done": 10, "total": 100, "unit": "bytes",
          "per_second": 7}, "[##------------------]  10 %, 12,345 rows, 7 rows/s"),
        ({"share": None, "rows": 5, "done": None, "total": 9, "unit": "rows",
          "per_second": 0}, "5 rows of 9 rows"),
        ({"share": None, "rows": None, "done": None, "total": None, "unit": "rows",
          "per_second": None}, ""),
    ],
)  # fmt: skip
def test_progress_is_a_bar_an_amount_and_a_rate_as_far_as_they_are_known(
    progress: dict[str, Any], shown: str
):
    assert progress_text(progress) == shown


STEP = {
    "step": "load", "status": "queued", "attempt": 1, "child_run": None, "child_started_at": None,
    "started_at": AT.isoformat(), "finished_at": None, "next_retry_time": None,
    "child_finished_at": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"status": "waiting", "child_run": "R"}, "  load    waiting for run R"),
        ({"status": "started"}, "  load    started"),
        ({"status": "started", "attempt": 2}, "  load    started (attempt 2)"),
        ({"status": "completed", "finished_at": later(seconds=2).isoformat()},
         "  load    completed in 2.00 s"),
        ({"status": "failed", "finished_at": later(seconds=20).isoformat()},
         "  load    failed in 20 s"),
        ({"status": "cancelled", "finished_at": later(seconds=20).isoformat()},
         "  load    cancelled"),
        ({"status": "skipped", "started_at": None}, "  load    skipped"),
        ({"status": "completed", "child_started_at": AT.isoformat(),
          "child_finished_at": later(minutes=1).isoformat(),
          "finished_at": later(seconds=1).isoformat()}, "  load    completed in 1m 00s"),
        ({"status": "retrying", "attempt": 1, "next_retry_time": later(minutes=5).isoformat()},
         "  load    retrying: attempt 1 failed, the next one in 5m 00s"),
        ({"status": "retrying", "next_retry_time": later(minutes=-5).isoformat()},
         "  load    retrying: attempt 1 failed, the next one in 0.00 s"),
        ({"status": "retrying"}, "  load    retrying: attempt 1 failed, the next one in 0.00 s"),
    ],
)  # fmt: skip
def test_each_change_of_a_step_has_its_line(
    changed: dict[str, Any], shown: str, monkeypatch: pytest.MonkeyPatch
):
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:  # noqa: ARG003
            return AT

    monkeypatch.setattr(run_client, "datetime", Clock)

    assert _step_line({**STEP, **changed}, 6) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ({"level": "info", "attempt": 1}, "- load done"),
        ({"level": "error", "attempt": 1}, "- load error: done"),
        ({"level": "info", "attempt": 2}, "- load (attempt 2) done"),
    ],
)
def test_a_line_of_a_log_says_its_level_and_attempt_where_they_are_unusual(
    line: dict[str, Any], shown: str
):
    whole = {"at": None, "step": "load", "message": "done", **line}

    assert line_text(whole, of_run=True) == shown
    assert line_text(whole, of_run=False) == shown.replace("load ", "")


# -- schedules ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calendar", "shown"),
    [
        (Calendar(country="DE", subdivision="BE"), "working days of DE-BE"),
        (Calendar(country="DE", dates=(date(2026, 1, 2),)), "working days of DE except 1 date"),
        (Calendar(dates=(date(2026, 1, 2), date(2026, 1, 3))), "working days except 2 dates"),
        (Calendar(country="DE", days="holidays", dates=(date(2026, 1, 2),)),
         "holidays of DE and 1 date"),
        (Calendar(days="not_holidays", dates=(date(2026, 1, 2),)),
         "all days except holidays of 1 date"),
    ],
)  # fmt: skip
def test_a_calendar_s_days_are_told_in_words(calendar: Calendar, shown: str):
    assert _days_text(calendar) == shown
    scheduled = Schedule(cron="0 6 * * *", timezone="Europe/Berlin", calendar=calendar)
    assert _schedule_text(scheduled) == f"0 6 * * * Europe/Berlin, {shown}"


def test_an_interval_is_told_as_one():
    assert _schedule_text(Schedule(interval_s=5400.0)) == "every 90m"


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ({"next_instant": later(seconds=12)}, "in 12 s"),
        ({"trigger": {"text": "after a"}}, "after a"),
        ({"next_instant": later(seconds=12), "trigger": {"text": "after a"}}, "in 12 s or after a"),
        ({"next_instant": later(seconds=12), "paused": True}, "paused"),
        ({"trigger": {"text": "after a"}, "paused": True}, "paused"),
        ({"paused": True}, "by hand"),
        ({"schedule": ["0 6 * * *"]}, "no more"),
        ({}, "by hand"),
    ],
)
def test_when_a_pipeline_is_due_is_told(row: dict[str, Any], shown: str):
    whole = {"next_instant": None, "trigger": None, "paused": False, "schedule": [], **row}

    assert _due(whole, AT) == shown


def test_the_last_run_is_told_with_its_age_once_it_has_ended():
    assert _last(None, AT) == "-"
    assert _last({"status": "running", "finished_at": None}, AT) == "running"
    assert _last({"status": "failed", "finished_at": later(hours=-2)}, AT) == "failed 2h 00m ago"
    assert _last({"status": "failed", "finished_at": later(hours=2)}, AT) == "failed 0.00 s ago"


# -- statements -----------------------------------------------------------------------


def previewed(**more: Any) -> Any:
    sql = SimpleNamespace(display="SELECT :n\nFROM a\n", binds={"n": "é"})
    one = SimpleNamespace(sql=sql, connection=None, note="")
    return SimpleNamespace(**{"error": None, "fatal": True, "statements": [one], **more})


def test_a_statement_is_shown_with_its_values_its_connection_and_its_note():
    assert list(sql_lines(previewed())) == [
        "    | SELECT :n", "    | FROM a;", '    :n = "é"',
    ]  # fmt: skip
    there = previewed()
    there.statements[0].connection, there.statements[0].note = "shop", "for each row"
    assert list(sql_lines(there))[:2] == [
        "    | -- for each row", "    | -- on the connection shop",
    ]  # fmt: skip
    assert sql_json(there)["statements"] == [
        {"text": "SELECT :n\nFROM a\n", "values": {"n": "é"}, "connection": "shop",
         "note": "for each row"}
    ]  # fmt: skip
    assert sql_json(previewed())["statements"][0]["note"] is None


@pytest.mark.parametrize(
    ("fatal", "reason"), [(True, "cannot be rendered"), (False, "is known when the step starts")]
)
def test_sql_that_is_not_known_says_why(fatal: bool, reason: str):
    told = previewed(error="no `x`", fatal=fatal, statements=[])

    assert list(sql_lines(told)) == [f"    its SQL {reason}: no `x`"]
    assert sql_json(told) == {"error": "no `x`", "statements": []}


# -- ends -----------------------------------------------------------------------------


def test_a_part_s_end_is_told_by_its_code_or_signal():
    assert (_reason(3), _reason(-9)) == ("exit code 3", "signal SIGKILL")
    assert _reason(-(signal.SIGRTMIN + 6)) == "signal SIGRTMIN+6"


@pytest.mark.parametrize(
    ("error", "is_it"),
    [(OSError(28, "full"), True), (OSError(5, "io"), True), (OSError(9, "closed"), True),
     (OSError(122, "quota"), True), (OSError(27, "large"), True), (OSError(2, "none"), False),
     (OSError(28, "full", "/a/file"), False)],
)  # fmt: skip
def test_only_a_full_or_closed_output_is_the_output_s_fault(error: OSError, is_it: bool):
    assert is_of_output(error) is is_it


@pytest.mark.parametrize(
    ("code", "missing"), [("42P01", True), ("42703", True), ("3F000", True), ("42501", False)]
)
def test_a_schema_that_is_missing_is_known_by_postgresql_s_code(code: str, missing: bool):
    plain, wrapped = Exception(), Exception()
    plain.pgcode = code  # type: ignore[attr-defined]
    wrapped.orig = plain  # type: ignore[attr-defined]

    assert _schema_is_missing(plain) is _schema_is_missing(wrapped) is missing
    assert not _schema_is_missing(Exception())


# -- a log that grows -----------------------------------------------------------------


class Growing:
    """A job that says a line at each look, and what the database answers."""

    def __init__(self, *statuses: Any) -> None:
        self.statuses = list(statuses)
        self.said = 0
        self.database = self

    def row(self, _statement: str, **_values: Any) -> Any:
        status = self.statuses.pop(0)
        if isinstance(status, Exception):
            raise status
        return status and {"id": UUID(int=1), "step": "load", "attempt": 3, "status": status}

    def rows(self, _statement: str, seen: str) -> list[dict[str, Any]]:
        found = []
        for one in json.loads(seen):
            newest = self.said + (one["attempt"] == 3)
            if one["line"] < newest:
                line = {"line": newest, "at": None, "level": "info"}
                line["message"] = f"{one['attempt']}.{newest}"
                found.append({**one, "job_id": one["job"], **line})
        self.said += 1
        return found


def test_a_log_is_followed_to_the_end_and_each_line_is_printed_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("headrace.cli.growing_log.time.sleep", lambda _s: None)
    away = StoreUnavailable("PostgreSQL does not answer")
    job = Growing("started", away, away, "started", away, "completed")

    assert print_growing(job, "job", {"id": UUID(int=1)}, as_json=False)  # type: ignore[arg-type]

    out, err = capsys.readouterr()
    # Of a job under way its last two attempts, at its end all of them, and again a moment later.
    assert out.split() == [
        *("-", "(attempt", "2)", "2.0", "-", "(attempt", "3)", "3.1"),
        *("-", "(attempt", "2)", "2.1", "-", "(attempt", "3)", "3.2"),
        *("-", "1.2", "-", "(attempt", "2)", "2.2", "-", "(attempt", "3)", "3.3"),
        *("-", "1.3", "-", "(attempt", "2)", "2.3", "-", "(attempt", "3)", "3.4"),
    ]
    assert err.splitlines() == ["PostgreSQL does not answer; waiting for it"] * 2


def test_a_job_that_has_ended_is_looked_at_once_and_one_that_is_gone_is_told(
    capsys: pytest.CaptureFixture[str],
):
    def growing(*statuses: Any) -> bool:
        return print_growing(
            Growing(*statuses),  # type: ignore[arg-type]
            "job",
            {"id": UUID(int=1)},
            as_json=True,
        )

    assert growing("failed")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["1.0", "2.0", "3.1"]
    assert set(lines[0]) == {"job_id", "step", "attempt", "line", "at", "level", "message"}
    with pytest.raises(NotFound, match=f"the job {UUID(int=1)} was deleted"):
        growing(None)
