"""A line of a job's log, as commands print it."""

from collections.abc import Mapping
from typing import Any

from headrace.cli.printing import clock
from headrace.observe.terminal_text import hanging, visible

# What sets off the further lines of a message.
_FURTHER = " " * 18 + "| "


def with_step(line: Mapping[str, Any], step: str | None) -> dict[str, Any]:
    """Return a line as `--json` prints it."""
    told = ("attempt", "line", "at", "level", "message")
    return {"job_id": line["job_id"], "step": step, **{name: line[name] for name in told}}


def line_text(line: Mapping[str, Any], *, of_run: bool) -> str:
    """Return a line for people; among those of a run each has its step."""
    level = "" if line["level"] == "info" else f"{line['level']}: "
    who = f"{line['step']} " if of_run else ""
    again = f"(attempt {line['attempt']}) " if line["attempt"] > 1 else ""
    message = hanging(line["message"], _FURTHER)
    return f"{clock(line['at'])} {visible(who)}{again}{level}{message}"
