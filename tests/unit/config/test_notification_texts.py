"""A receiver's own `subject`, `text` and `body`: what is wrong in them is told before a night."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import ConfigProblems, Settings, load_settings
from headrace.declarations.config.notification_texts import NAMES, _samples, rendered_texts
from headrace.engine.notifications.messages import message_of, trial_message
from headrace.engine.notifications.own_words import variables_of
from headrace.observe.redaction import keep
from tests.unit.engine.test_notification_forms import AT, row

CONFIG = """
public_url: https://etl.example.com
notifications:
  allowed_hosts: [hooks.example.com]
  receivers:
    one: {type: TYPE, url: 'https://hooks.example.com/x', KEYS}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(keys: str, kind: str = "webhook") -> Settings:
    Path("config.yaml").write_text(CONFIG.replace("KEYS", keys).replace("TYPE", kind))
    return load_settings({"KEY": "s3cret"})


MISTAKES = {
    'text: "{{ subjet }}"': "'subjet' is undefined (did you mean \"subject\"?)",
    'text: "{{ steps[0].error }}"': "it fails for a run that could not be made: text:",
    'text: "{{ steps }}"': "text: it yields a list or mapping",
    'text: "{{ step }}"': "it fails for a failed run: text: it is empty",
    'subject: "{{ kind"': "[bad-template]",
    'subject: "{{ kind.__class__ }}"': "unsafe",
    'subject: "{{ pipeline | shell }}"': "No filter named 'shell'",
    'text: "{% for n in range(100001) %}x{% endfor %}"': "range is longer than 100,000",
    'body: {a: {b: ["{{ nothing }}"]}}': "body.a.b[0]: 'nothing' is undefined",
    'body: {a: "{{ 10.0 ** 64 * 1e300 * 1e300 }}"}': "body",
    'body: "{}"': "[wrong-type]",
    'text: "call ${KEY}"': "text must not contain the variable KEY: it may hold a secret",
    'body: {routing_key: "${KEY}"}': "send it in `headers`",
}


@pytest.mark.parametrize("keys", MISTAKES)
def test_a_template_that_some_notification_could_not_be_made_with_is_refused(keys: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(keys)

    assert MISTAKES[keys] in str(caught.value)
    assert str(caught.value).startswith("config.yaml:6:")
    assert re.search(r" \[(bad-template|bad-value|wrong-type)\]$", str(caught.value), re.MULTILINE)


def test_a_body_is_for_webhooks_only() -> None:
    with pytest.raises(ConfigProblems, match="body is not for a receiver of type slack"):
        load("body: {a: b}", "slack")


def test_templates_see_what_real_notifications_have_and_the_samples_are_like_them() -> None:
    step = {"step": "load", "attempt": 1, "of": 4, "error": "E" * 5000}
    late: dict[str, Any] = {"rule": "deadline", "limit_s": 7200, "since": "03:00"}
    ended: dict[str, Any] = {"started_at": "x", "finished_at": "x"}
    real = {
        "a failed run": row(steps=[step], failed_steps=1, error="E", **ended),
        "a recovery": row("recovery", failures=1, failed_since="x", **ended),
        "a completed run": row("success", **ended),
        "a run that could not be made": row(error="E") | {"run_id": None},
        "a late run": row("late", started_at="x", **late),
        "a late run that has not begun": row("late", started_at=None, **late),
        "a late step": row("late", "load", started_at="x", **late),
    }  # fmt: skip
    messages = {name: message_of(one, "https://etl.example.com") for name, one in real.items()}
    messages["`headrace notify --test`"] = trial_message("id", "one", "https://e.com", AT)
    samples = _samples("https://etl.example.com")

    assert messages.keys() == samples.keys()
    for name, message in messages.items():
        seen = variables_of(message, "one")
        assert seen.keys() == NAMES.keys() == samples[name].keys()
        kinds = {key: type(value) for key, value in seen.items()}
        assert kinds == {key: type(value) for key, value in samples[name].items()}, name
    assert len(variables_of(messages["a failed run"], "one")["steps"][0]["error"]) < 1100


def test_whatever_an_error_contains_a_body_is_json_with_the_types_of_its_expressions() -> None:
    nasty = '"}, {"a": "\\ \n\u2028 \x01 {{ kind }} é'
    body = {"e": "{{ error }}", "in": "<{{ error }}|{{ step }}>", "n": "{{ failed_steps }}",
            "all": "{{ steps }}", "step": "{{ step }}", "plain": [1, None, True]}  # fmt: skip
    made = rendered_texts(None, None, body, {**NAMES, "error": nasty, "steps": [{"step": "x"}]})

    assert made.body is not None
    assert json.loads(made.body) == {
        "e": nasty, "in": f"<{nasty}|>", "n": 0, "all": [{"step": "x"}], "step": None,
        "plain": [1, None, True],
    }  # fmt: skip


def test_a_subject_is_one_short_line_and_the_text_may_name_it() -> None:
    known: dict[str, Any] = {**NAMES, "error": "a\r\nBcc: x\n" + "y" * 900}
    made = rendered_texts("S {{ error }}", "{{ subject }}!", {"t": "{{ text }}"}, known)

    assert made.subject is not None
    assert made.subject.startswith("S a Bcc: x yyy")
    assert len(made.subject) == 200
    assert made.text == f"{made.subject}!"
    assert json.loads(made.body or b"") == {"t": made.text}


def test_no_secret_comes_through_a_template() -> None:
    keep({"k33p-canary"}, frozenset())
    try:
        known = {**NAMES, "error": "no k33p-canary here"}
        made = rendered_texts("{{ error }}", "k33p{{ '-canary' }}", {"e": "{{ error }}"}, known)
    finally:
        keep(set(), frozenset())
    assert "canary" not in f"{made.subject} {made.text} {made.body!r}"


def test_the_guides_examples_hold() -> None:
    guide = (Path(__file__).parents[3] / "docs/guide/notifications.md").read_text()
    _, own = guide.split("### Words of your own")
    receivers = own.partition("```yaml\n")[2].partition("```")[0]
    head, _, _ = CONFIG.partition("    one:")
    Path("config.yaml").write_text(
        head.replace("[hooks.", "[events.example.com, hooks.") + receivers
    )

    url = "https://hooks.example.com/x"
    settings = load_settings({"SLACK_URL": url, "ROUTING_KEY": "a-key"})

    assert set(settings.notifications.receivers) == {"chat", "incidents"}
    names = own.partition("| names |")[2].partition("\n\n")[0]
    assert {name for name in NAMES if f"`{name}`" not in names} == set()
