"""What a notification says: a subject, lines and a link, made of its row in the outbox."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from headrace.errors.numbers import number_of
from headrace.errors.shortened import shortened
from headrace.model.duration import format_duration
from headrace.model.notifications import FAILURE, LATE, RECOVERY
from headrace.observe.redaction import redacted

TEST = "test"
_MOST_ERROR = 1000
_MOST_LINES_OF_ERROR = 12
_MOST_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One notification. `id` is the same in each try; `data` is for programs.

    `own_text` is a receiver's own, which has its link where it wants it, `body` its own JSON.
    """

    id: str
    kind: str
    subject: str
    lines: tuple[str, ...]
    link: str | None
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)
    own_text: str | None = None
    body: bytes | None = None

    @property
    def text(self) -> str:
        """Return the lines and the link, one below the other."""
        if self.own_text is not None:
            return self.own_text
        return "\n".join([*self.lines, *([self.link] if self.link else [])])


def message_of(row: Mapping[str, Any], public_url: str | None) -> Message:
    """Return the message of a row of the outbox."""
    content = row["content"]
    link = _link(public_url, row["run_id"])
    run = f"Run {row['run_id']}" if row["run_id"] else "No run was made"
    lines = [_run_line(run, content), *_lines(row["kind"], row["step"], content)]
    return Message(
        id=str(row["id"]),
        kind=row["kind"],
        subject=shortened(_subject(row), _MOST_SUBJECT),
        lines=tuple(redacted(line) for line in lines),
        link=link,
        at=row["created_at"],
        data={
            "pipeline": row["pipeline"],
            "run_id": row["run_id"] and str(row["run_id"]),
            "step": row["step"],
            "link": link,
            **_redacted(content),
        },
    )


def trial_message(message_id: str, receiver: str, public_url: str | None, at: datetime) -> Message:
    """Return what `headrace notify --test` sends."""
    return Message(
        id=message_id,
        kind=TEST,
        subject="Headrace: a notification on trial",
        lines=(f'This is a test of the receiver "{receiver}". No run is concerned.',),
        link=public_url,
        at=at,
        data={"receiver": receiver},
    )


def _link(public_url: str | None, run_id: Any) -> str | None:
    if public_url is None or run_id is None:
        return None
    return f"{public_url.rstrip('/')}/#/runs/{run_id}"


def _subject(row: Mapping[str, Any]) -> str:
    pipeline, step = row["pipeline"], row["step"]
    if row["kind"] == FAILURE:
        return f"{pipeline} failed"
    if row["kind"] == RECOVERY:
        return f"{pipeline} has recovered"
    if row["kind"] == LATE:
        return f"{pipeline} is late" if step is None else f"{pipeline}: step {step} is late"
    return f"{pipeline} completed"


def _run_line(run: str, content: Mapping[str, Any]) -> str:
    return f"{run} ({content['trigger']}, logical date {content['logical_date']})"


def _lines(kind: str, step: str | None, content: Mapping[str, Any]) -> list[str]:
    if kind == FAILURE:
        return _failure_lines(content)
    if kind == RECOVERY:
        failures = content["failures"]
        before = f"{number_of(failures, 'run')} had failed"
        return [f"It completed; {before} since {content['failed_since']}."]
    if kind == LATE:
        return [_late_line(step, content)]
    return ["It completed."]


def _late_line(step: str | None, content: Mapping[str, Any]) -> str:
    what = "The run" if step is None else f"Step {step}"
    limit = format_duration(content["limit_s"])
    return (
        f"{what} has not ended; its {content['rule']} of {limit} passed at {content['since']}."
        " It is not stopped."
    )


def _failure_lines(content: Mapping[str, Any]) -> list[str]:
    steps = content.get("steps") or []
    lines = [
        f"Step {step['step']} failed, attempt {step['attempt']} of {step['of']}:"
        f" {first_lines(step['error'] or 'no error was recorded')}"
        for step in steps
    ]
    more = content.get("failed_steps", 0) - len(steps)
    if more > 0:
        lines.append(f"{more} more step{'s' * (more > 1)} failed.")
    if content.get("error"):
        lines.append(first_lines(content["error"]))
    return lines or ["No step of it has failed."]


def first_lines(error: str) -> str:
    """Return the beginning of an error, and how much was left out."""
    kept = "\n".join(error.split("\n")[:_MOST_LINES_OF_ERROR])[:_MOST_ERROR]
    if len(kept) == len(error):
        return error
    return f"{kept} … ({len(error) - len(kept)} more characters)"


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: _redacted(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_redacted(part) for part in value]
    return value
