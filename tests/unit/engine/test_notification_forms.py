"""What notifications say, and how they say it to each kind of receiver."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest

from headrace.engine.notifications import forms, messages
from headrace.engine.notifications.messages import Message, message_of
from headrace.model.notifications import Receiver

RUN = "0199c0de-0000-7000-8000-000000000001"
ID = "0199c0de-0000-4000-8000-000000000002"
AT = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC)
POST = Receiver("post", "email", "smtp://h", sender="Headrace <etl@example.com>", to=("a@b.de",))


def row(kind: str = "failure", step: str | None = None, **content: Any) -> dict[str, Any]:
    known = {"status": "failed", "trigger": "schedule", "logical_date": "2026-11-26T01:00:00+00:00"}
    return {
        "id": ID, "kind": kind, "receiver": "pager", "pipeline": "nightly_sales", "run_id": RUN,
        "step": step, "created_at": AT, "content": {**known, **content},
    }  # fmt: skip


def failure(error: str = "KeyError: 'missing'", failed_steps: int = 1) -> Message:
    step = {"step": "load", "attempt": 2, "of": 4, "error": error}
    return message_of(
        row(steps=[step], failed_steps=failed_steps), "https://etl.example.com/headrace/"
    )


def test_a_failure_tells_pipeline_run_step_attempt_error_and_link() -> None:
    made = failure(failed_steps=3)

    assert made.subject == "nightly_sales failed"
    assert made.text.splitlines() == [
        f"Run {RUN} (schedule, logical date 2026-11-26T01:00:00+00:00)",
        "Step load failed, attempt 2 of 4: KeyError: 'missing'",
        "2 more steps failed.",
        f"https://etl.example.com/headrace/#/runs/{RUN}",
    ]
    assert failure(failed_steps=2).lines[2:] == ("1 more step failed.",)
    assert failure(failed_steps=1).lines[2:] == ()


def test_no_hidden_value_is_in_a_message_or_in_the_data_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(messages, "redacted", lambda text: text.replace("s3cret", "***"))
    steps = [{"step": "load", "attempt": 1, "of": 1, "error": "no s3cret", "tags": ["s3cret", 1]}]

    made = message_of(row(steps=steps, failed_steps=1, note="s3cret", rows=5, none=None), None)

    assert made.lines[1:] == ("Step load failed, attempt 1 of 1: no ***",)
    content = {name: made.data[name] for name in ("steps", "note", "rows", "none")}
    assert content == {
        "steps": [{"step": "load", "attempt": 1, "of": 1, "error": "no ***", "tags": ["***", 1]}],
        "note": "***", "rows": 5, "none": None,
    }  # fmt: skip


def test_recovery_lateness_and_success_say_what_they_mean() -> None:
    recovery = message_of(row("recovery", failures=10, failed_since="yesterday"), None)
    late = message_of(row("late", "load", rule="deadline", limit_s=7200, since="03:00"), None)

    assert recovery.lines[1] == "It completed; 10 runs had failed since yesterday."
    assert late.subject == "nightly_sales: step load is late"
    assert late.lines[1] == (
        "Step load has not ended; its deadline of 2h passed at 03:00. It is not stopped."
    )
    assert message_of(row("success"), None).subject == "nightly_sales completed"
    assert recovery.link is None


def test_a_run_that_could_not_be_made_says_so() -> None:
    made = message_of({**row(error="params.day: no default"), "run_id": None}, "https://e.com")

    assert made.lines[0].startswith("No run was made")
    assert made.lines[1] == "params.day: no default"
    assert made.link is None


def test_a_long_error_is_cut_and_says_how_much_is_left_out() -> None:
    (line,) = failure("x" * 5000).lines[1:]

    assert line.endswith("x … (4000 more characters)")


def test_a_webhook_is_signed_as_standard_webhooks_has_it() -> None:
    key = b"0123456789abcdef0123456789abcdef"
    secret = f"whsec_{base64.b64encode(key).decode()}"
    made = failure()
    body = forms.webhook_body(made)
    headers = forms.webhook_headers(made, body, secret, 1700000000)

    signed = f"{ID}.1700000000.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers == {
        "webhook-id": ID, "webhook-timestamp": "1700000000", "webhook-signature": f"v1,{digest}"
    }  # fmt: skip
    sent = json.loads(body)
    assert (sent["type"], sent["timestamp"]) == ("run.failure", AT.isoformat())
    assert sent["data"]["run_id"] == RUN
    assert sent["data"]["steps"][0]["attempt"] == 2
    assert "webhook-signature" not in forms.webhook_headers(made, body, None, 1)


def test_slack_sees_no_mention_or_link_in_an_error() -> None:
    made = failure("<!channel> <https://evil.example.com|click>")
    sent = json.loads(forms.slack_body(made))

    link = f"<https://etl.example.com/headrace/#/runs/{RUN}|Open it in Headrace>"
    assert sent == {
        "text": "nightly_sales failed",
        "blocks": [
            {"type": "header", "text": plain("nightly_sales failed")},
            {"type": "section", "text": plain("\n".join(made.lines))},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": link}]},
        ],
    }
    long = json.loads(forms.slack_body(Message(ID, "test", "s" * 500, ("x" * 9000,), None, AT)))
    assert long["text"] == "s" * 500
    assert [block["text"] for block in long["blocks"]] == [
        plain(f"{'s' * 149}…"), plain(f"{'x' * 2899}…"),
    ]  # fmt: skip


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def test_teams_gets_an_adaptive_card_without_markdown_of_an_error() -> None:
    made = failure("[click](https://evil.example.com)")
    sent = json.loads(forms.teams_body(made))
    unlinked = json.loads(forms.teams_body(replace(made, link=None)))

    title = {"type": "TextRun", "text": made.subject, "weight": "bolder", "size": "medium"}
    runs = [title, *({"type": "TextRun", "text": line} for line in made.lines)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [{"type": "RichTextBlock", "inlines": [run]} for run in runs],
    }
    url = f"https://etl.example.com/headrace/#/runs/{RUN}"
    action = {"type": "Action.OpenUrl", "title": "Open it in Headrace", "url": url}
    assert sent == card_message({**card, "actions": [action]})
    assert unlinked == card_message(card)


def card_message(card: dict[str, Any]) -> dict[str, Any]:
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def test_an_email_has_the_same_id_in_each_try_and_no_header_of_an_errors_making() -> None:
    made = message_of(
        {**row("late", "load\r\nBcc: evil@example.com", rule="deadline", limit_s=1, since="x")},
        None,
    )
    sent = forms.email_of(made, POST)
    again = message_from_bytes(forms.email_of(made, POST).as_bytes(), policy=default)

    assert sent["Message-ID"] == again["Message-ID"] == f"<{ID}@example.com>"
    assert again["Bcc"] is None
    assert again["Subject"] == "nightly_sales: step load Bcc: evil@example.com is late"
    assert again["Auto-Submitted"] == "auto-generated"


def test_an_error_with_any_characters_can_be_mailed() -> None:
    sent = forms.email_of(failure("ValueError: Müller 💥 \x00 \u2028"), POST)

    text = message_from_bytes(sent.as_bytes(), policy=default).get_content()
    assert "Müller 💥" in text
