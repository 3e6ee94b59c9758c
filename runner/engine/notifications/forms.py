"""The forms of a message: JSON for webhooks, Slack and Teams, and an e-mail."""

import base64
import hashlib
import hmac
import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Any

from headrace.declarations.config.notifications import key_of
from headrace.engine.notifications.messages import Message
from headrace.errors.shortened import shortened
from headrace.model import exact_json
from headrace.model.notifications import LATE, Receiver

# What Slack takes of a header and of a section.
_SLACK_HEADER = 150
_SLACK_TEXT = 2900
_CARD = "http://adaptivecards.io/schemas/adaptive-card.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def webhook_body(message: Message) -> bytes:
    """Return the payload as Standard Webhooks has it: type, timestamp and data; or its own."""
    if message.body is not None:
        return message.body
    subject = "step" if message.kind == LATE and message.data.get("step") else "run"
    kind = message.kind if message.kind == "test" else f"{subject}.{message.kind}"
    data = {"subject": message.subject, "text": message.text, **message.data}
    return _json({"type": kind, "timestamp": message.at.isoformat(), "data": data})


def webhook_headers(
    message: Message, body: bytes, secret: str | None, now_s: int
) -> dict[str, str]:
    """Return the headers of Standard Webhooks; with a secret the request is signed."""
    headers = {"webhook-id": message.id, "webhook-timestamp": str(now_s)}
    key = None if secret is None else key_of(secret)
    if key is not None:
        signed = f"{message.id}.{now_s}.".encode() + body
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def slack_body(message: Message) -> bytes:
    """Return the payload of an incoming webhook of Slack."""
    text = "\n".join(message.lines)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _slack_plain(message.subject, _SLACK_HEADER)},
        {"type": "section", "text": _slack_plain(text, _SLACK_TEXT)},
    ]
    if message.link:
        link = {"type": "mrkdwn", "text": f"<{_slack(message.link)}|Open it in Headrace>"}
        blocks.append({"type": "context", "elements": [link]})
    return _json({"text": _slack(message.subject), "blocks": blocks})


def teams_body(message: Message) -> bytes:
    """Return the payload of an incoming webhook of Teams: an Adaptive Card.

    Its text is in runs, which have no Markdown: an error cannot bring a link of its own.
    """
    body = [_card_text(message.subject, weight="bolder", size="medium")]
    body += [_card_text(line) for line in message.lines]
    card: dict[str, Any] = {
        "$schema": _CARD,
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if message.link:
        action = {"type": "Action.OpenUrl", "title": "Open it in Headrace", "url": message.link}
        card["actions"] = [action]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return _json({"type": "message", "attachments": [attachment]})


def email_of(message: Message, receiver: Receiver) -> EmailMessage:
    """Return an e-mail; its Message-ID is the same in each try."""
    made = EmailMessage(SMTP)
    # A line break would begin another header: the library refuses it, and nothing would arrive.
    made["Subject"] = _CONTROL.sub(" ", message.subject)
    made["From"] = receiver.sender
    made["To"] = ", ".join(receiver.to)
    made["Date"] = format_datetime(message.at)
    domain = parseaddr(receiver.sender)[1].rpartition("@")[2]
    made["Message-ID"] = f"<{message.id}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(message.text + "\n")
    return made


def _slack_plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": shortened(text, most), "emoji": False}


def _slack(text: str) -> str:
    """Return text in which nothing is a mention or a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _card_text(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _json(data: dict[str, Any]) -> bytes:
    return exact_json.dumps(data, ensure_ascii=False).encode()
