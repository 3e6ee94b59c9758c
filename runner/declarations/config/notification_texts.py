"""A receiver's own `subject`, `text` and `body`: templates over what a notification knows.

They are rendered here, both for a real notification and, when the configuration is checked, for a
sample of each kind: what no notification could be rendered with is a mistake in the file.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from headrace.declarations.source import KeyPath
from headrace.errors import TemplateError
from headrace.errors.shortened import shortened
from headrace.model import exact_json
from headrace.model.notifications import FAILURE, LATE, RECOVERY, SUCCESS
from headrace.observe.redaction import redacted

# Where in the file, a code, what is wrong, and what to do.
Fault = tuple[KeyPath, str, str, str]

TEXT_KEYS = ("subject", "text", "body")
_MOST_SUBJECT = 200
_MOST_TEXT = 20_000
_MOST_BODY = 1_000_000

# What a template may name: `null` here is what a kind does not have.
NAMES: Mapping[str, Any] = {
    "kind": "", "id": "", "at": "", "receiver": "", "subject": "", "text": "", "link": None,
    "pipeline": None, "run_id": None, "step": None, "status": None, "trigger": None,
    "logical_date": None, "started_at": None, "finished_at": None, "error": None,
    "failed_steps": 0, "steps": [], "failures": None, "failed_since": None,
    "rule": None, "limit_s": None, "since": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnTexts:
    """What a receiver's templates have made; None where the receiver has none.

    `body` is JSON. `fault` says why a subject or text is not there although it is wanted.
    """

    subject: str | None = None
    text: str | None = None
    body: bytes | None = None
    fault: str = ""


def rendered_texts(
    subject: str | None, text: str | None, body: Any, variables: Mapping[str, Any]
) -> OwnTexts:
    """Return what the templates make of one notification's `variables` (see NAMES).

    In `text` the subject is the receiver's own, in `body` so is the text. A subject or text that
    cannot be made leaves the standard one.

    Raises:
        TemplateError: The body cannot be made; nothing else would fit who receives it.
    """
    made: dict[str, str] = {}
    faults: list[str] = []
    for name, template, most in (("subject", subject, _MOST_SUBJECT), ("text", text, _MOST_TEXT)):
        if template is None:
            continue
        try:
            made[name] = _words(name, template, {**variables, **made}, most)
        except TemplateError as error:
            faults.append(str(error))
    filled = None if body is None else _json(body, {**variables, **made})
    return OwnTexts(made.get("subject"), made.get("text"), filled, "; ".join(faults))


def text_faults(data: Mapping[str, Any], at: KeyPath, public_url: str | None) -> Iterator[Fault]:
    """Yield what is wrong with the templates of one receiver, each at its place."""
    if "body" in data and data["type"] != "webhook":
        message = f"body is not for a receiver of type {data['type']}"
        yield (*at, "body"), "bad-key", message, "write `text`, or type: webhook"
        return
    for key in TEXT_KEYS:
        if key not in data:
            continue
        only = {name: data[key] if name == key else None for name in TEXT_KEYS}
        for kind, variables in _samples(public_url).items():
            try:
                why = rendered_texts(**only, variables=variables).fault
            except TemplateError as error:
                why = str(error)
            if why:
                message = f"it fails for {kind}: {why}"
                hint = f"it may name {', '.join(sorted(NAMES))}; see docs/guide/notifications.md"
                yield (*at, key), "bad-template", message, hint
                break


def reference_faults(used: Iterable[tuple[KeyPath, str, str]]) -> Iterator[Fault]:
    """Yield the references to variables in such templates: a text leaves the house."""
    for path, _text, name in used:
        if path[:2] == ("notifications", "receivers") and path[3:4] and path[3] in TEXT_KEYS:
            message = f"{path[3]} must not contain the variable {name}: it may hold a secret"
            hint = "send it in `headers`; the text itself is written $${…}"
            yield path, "bad-value", message, hint


def _words(name: str, template: str, variables: Mapping[str, Any], most: int) -> str:
    from headrace.template import render_value

    made = render_value(template, _without_null(variables), name=name)
    if isinstance(made, list | dict):
        raise TemplateError(f"{name}: it yields a list or mapping: put it into a sentence")
    text = redacted(str(made))
    text = " ".join(text.split()) if name == "subject" else text.strip("\n")
    if not text.strip():
        raise TemplateError(f"{name}: it is empty")
    return shortened(text, most)


def _json(body: Any, variables: Mapping[str, Any]) -> bytes:
    made = _filled("body", body, variables)
    try:
        text = exact_json.dumps(made, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"body: JSON has no form for it: {error}") from None
    if len(text) > _MOST_BODY:
        raise TemplateError(f"body: it is longer than {_MOST_BODY:,} characters")
    return text.encode()


def _filled(name: str, value: Any, variables: Mapping[str, Any]) -> Any:
    """Return a part of a body. An expression by itself keeps its type; null stays null there."""
    if isinstance(value, Mapping):
        return {key: _filled(f"{name}.{key}", one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(f"{name}[{at}]", one, variables) for at, one in enumerate(value)]
    if not isinstance(value, str):
        return value
    from headrace.template import render_value
    from headrace.template.syntax import is_single_expression

    known = variables if is_single_expression(value) else _without_null(variables)
    made = render_value(value, known, name=name)
    return redacted(made) if isinstance(made, str) else made


def _without_null(variables: Mapping[str, Any]) -> dict[str, Any]:
    # In a sentence what is not there is nothing, and no word.
    return {key: "" if value is None else value for key, value in variables.items()}


@lru_cache(maxsize=2)
def _samples(public_url: str | None) -> Mapping[str, Mapping[str, Any]]:
    """Return variables as real notifications have them, by what a message calls them."""
    run_id = "0199c0de-0000-7000-8000-000000000001"
    time = "2026-11-26T01:00:00+00:00"
    link = None if public_url is None else f"{public_url}/#/runs/{run_id}"
    run = {
        **NAMES, "id": run_id, "at": time, "receiver": "receiver", "subject": "subject",
        "text": "text", "pipeline": "pipeline", "trigger": "schedule", "logical_date": time,
    }  # fmt: skip
    made = {**run, "run_id": run_id, "link": link, "started_at": time, "finished_at": time}
    step = {"step": "load", "attempt": 1, "of": 4, "error": "an error"}
    late = {
        **made,
        "kind": LATE,
        "status": "running",
        "rule": "deadline",
        "limit_s": 7200,
        "since": time,
    }
    return {
        "a failed run": {**made, "kind": FAILURE, "status": "failed", "error": "an error",
                         "failed_steps": 1, "steps": [step]},
        "a run that could not be made": {**run, "kind": FAILURE, "status": "failed",
                                         "error": "an error"},
        "a recovery": {**made, "kind": RECOVERY, "status": "completed", "failures": 1,
                       "failed_since": time},
        "a completed run": {**made, "kind": SUCCESS, "status": "completed"},
        "a late run": {**late, "finished_at": None},
        "a late run that has not begun": {**late, "status": "queued", "started_at": None,
                                           "finished_at": None},
        "a late step": {**late, "step": "load", "finished_at": None},
        "`headrace notify --test`": {**run, "kind": "test", "pipeline": None, "trigger": None,
                                     "logical_date": None, "link": public_url},
    }  # fmt: skip
