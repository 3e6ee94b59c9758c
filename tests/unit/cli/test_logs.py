"""The lines of a process's log."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.cli import services
from headrace.declarations.config import Settings
from headrace.observe import logs


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    names = ("headrace", "headrace.job", "rq", "alembic", "asyncio", "sqlalchemy")
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_is_date_and_time_with_zone_then_role_and_message():
    stream = io.StringIO()
    logs.set_up("worker 1", stream=stream)
    logging.getLogger("headrace.worker").info("run %s completed", 7)
    logging.getLogger("headrace.worker").warning("oh")
    first, second = stream.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d{4} worker 1 run 7 completed", first)
    assert second.endswith("worker 1 warning: oh")


def test_json_lines_hold_what_a_program_asks_for():
    stream = io.StringIO()
    logs.set_up("web", log_format="json", stream=stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("headrace.web").exception("failed")
    entry = json.loads(stream.getvalue())
    assert (entry["role"], entry["level"], entry["message"]) == ("web", "error", "failed")
    assert "ValueError: why" in entry["traceback"]


def test_a_process_logs_as_its_settings_say(tmp_path: Path):
    told = {}
    for log_format, level in (("json", "warning"), ("text", "info")):
        settings = Settings(tmp_path, tmp_path, tmp_path, log_format=log_format, log_level=level)
        stream = io.StringIO()
        services.speak_as("daemon", settings, stream)
        logging.getLogger("headrace.daemon").info("one")
        logging.getLogger("headrace.daemon").warning("two")
        told[log_format] = stream.getvalue().splitlines()

    (only,) = told["json"]
    assert json.loads(only)["message"] == "two"
    assert [line.partition("daemon")[2].strip() for line in told["text"]] == ["one", "warning: two"]


def test_what_jobs_say_in_passing_is_kept_for_their_rows_and_not_shown():
    stream = io.StringIO()
    logs.set_up("worker 1", level="error", stream=stream)
    job = logging.getLogger("headrace.job")
    kept: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    job.addHandler(handler)
    try:
        job.info("loading")
        job.warning("odd")
    finally:
        job.removeHandler(handler)
    assert kept == ["loading", "odd"]
    assert stream.getvalue() == ""
