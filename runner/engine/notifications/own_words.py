"""Puts a message into a receiver's own words, where config.yaml has templates for it."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.declarations.config.notification_texts import NAMES, rendered_texts
from headrace.engine.notifications.messages import Message, first_lines
from headrace.errors import TemplateError
from headrace.jobapi.outbound.failures import NotSent
from headrace.model.notifications import Receiver

log = logging.getLogger("headrace.daemon")


def in_own_words(message: Message, receiver: Receiver) -> Message:
    """Return the message as the receiver's templates have it.

    Where its subject or text cannot be made the standard one is sent, and says so: a notification
    is not lost by its words.

    Raises:
        NotSent: Its body cannot be made.
    """
    if receiver.subject is None and receiver.text is None and receiver.body is None:
        return message
    variables = variables_of(message, receiver.name)
    try:
        made = rendered_texts(receiver.subject, receiver.text, receiver.body, variables)
    except TemplateError as error:
        raise NotSent(f"its own body cannot be made: {error}", is_outage=False) from None
    lines = message.lines if made.text is None else tuple(made.text.split("\n"))
    own_text = made.text
    if made.fault:
        log.warning("the standard words are sent to %s: %s", receiver.name, made.fault)
        lines = (*lines, f"(A template of this receiver could not be used: {made.fault})")
        own_text = None if made.text is None else "\n".join(lines)
    subject = message.subject if made.subject is None else made.subject
    return replace(message, subject=subject, lines=lines, own_text=own_text, body=made.body)


def variables_of(message: Message, receiver: str) -> dict[str, Any]:
    """Return what templates may name, without secrets, and errors as short as in the lines."""
    known = {name: value for name, value in message.data.items() if name in NAMES}
    return {
        **NAMES,
        **_shortened(known),
        "kind": message.kind,
        "id": message.id,
        "at": message.at.isoformat(),
        "receiver": receiver,
        "subject": message.subject,
        "text": message.text,
        "link": message.link,
    }


def _shortened(known: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(known)
    if made.get("error"):
        made["error"] = first_lines(made["error"])
    made["steps"] = [
        {**step, "error": first_lines(step["error"] or "")} for step in made.get("steps") or ()
    ]
    return made
