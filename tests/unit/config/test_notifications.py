"""`notifications`, `notify` and `public_url`: what they mean, and each mistake at its place."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.declarations.config import ConfigProblems, Settings, hidden_values, load_settings
from headrace.declarations.config.notifications import notify_of
from headrace.model.notifications import DEFAULT_KINDS, Heartbeat, Notify

SECRET = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"
WHOLE = """
public_url: https://etl.example.com
notify: {to: [pager]}
notifications:
  allowed_hosts: [hooks.example.com, mail.example.com]
  receivers:
    pager:
      type: webhook
      url: "https://hooks.example.com/${TOKEN}"
      headers: {Authorization: "Bearer ${BEARER}"}
      secret: "${SIGNING}"
    post:
      type: email
      url: "smtp://mail.example.com:587"
      from: Headrace <etl@example.com>
      to: [team@example.com]
      username: etl
      password: "${SMTP_PASSWORD}"
  heartbeat: {url: "https://hooks.example.com/alive", interval: 30s}
  retry_delay: 2s
  give_up_after: 2h
"""
ENVIRON = {
    "TOKEN": "t0ken-of-a-path",
    "BEARER": "b3arer-canary",
    "SIGNING": SECRET,
    "SMTP_PASSWORD": "p@ss:word/odd",
}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, environ: Mapping[str, str] = ENVIRON) -> Settings:
    Path("config.yaml").write_text(text)
    return load_settings(environ)


def test_the_keys_become_settings_with_their_secrets_by_reference() -> None:
    settings = load(WHOLE)

    assert settings.public_url == "https://etl.example.com"
    assert settings.notify == Notify(DEFAULT_KINDS, ("pager",))
    told = settings.notifications
    assert told.heartbeat == Heartbeat("https://hooks.example.com/alive", 30.0)
    assert (told.retry_delay_s, told.give_up_after_s) == (2.0, 7200.0)
    assert told.receivers["pager"].url == "https://hooks.example.com/t0ken-of-a-path"
    assert told.receivers["post"].password == "p@ss:word/odd"


def test_no_secret_of_a_receiver_is_shown_or_handed_to_jobs() -> None:
    settings = load(WHOLE)

    assert all(value not in repr(settings) for value in ENVIRON.values())
    assert set(ENVIRON.values()) <= hidden_values(settings)
    assert set(ENVIRON) <= settings.withheld


RECEIVER = """
notifications:
  allowed_hosts: [hooks.example.com, mail.example.com, localhost]
  receivers:
    one: {receiver}
"""
MISTAKES = {
    "{type: webhook, url: 'https://evil.example.com/x'}": (
        "5:31: evil.example.com is not among notifications.allowed_hosts in config.yaml, so no"
        " notification is sent to it [bad-url]"
    ),
    "{type: webhook, url: 'https://user:pw@hooks.example.com/x'}": "holds a user name",
    "{type: email, url: 'smtp://mail.example.com'}": "an e-mail needs from [missing-key]",
    "{type: email, url: 'https://mail.example.com', from: a@b.de, to: [c@d.de]}": (
        "write smtp://mail.example.com:587"
    ),
    "{type: email, url: 'smtp://u:p@mail.example.com', from: a@b.de, to: [c@d.de]}": (
        "the login belongs in the keys `username` and `password`"
    ),
    '{type: email, url: "smtp://mail.example.com", from: "a@b.de\\nBcc: x@y.de", to: [c@d.de]}': (
        "is not the address of one mailbox"
    ),
    "{type: email, url: 'smtp://mail.example.com', from: a@b.de, to: ['c@d.de, x@y.de']}": (
        "'c@d.de, x@y.de' is not the address of one mailbox"
    ),
    "{type: email, url: 'smtp://mail.example.com', from: a@b.de, to: [c@d.de], username: u}": (
        "`username` and `password` belong together"
    ),
    "{type: email, url: 'smtp://mail.example.com', from: a@b.de, to: [c@d.de], username: u,"
    " password: p, starttls: false}": "the password would be sent without encryption",
    "{type: slack, url: 'https://hooks.example.com/x', secret: abc}": (
        "secret is not for a receiver of type slack [bad-key]"
    ),
    "{type: webhook, url: 'https://hooks.example.com/x', secret: abc}": (
        "this is no secret of Standard Webhooks"
    ),
    "{type: webhook, url: 'https://hooks.example.com/x', secret: whsec_é}": (
        "this is no secret of Standard Webhooks"
    ),
    "{type: webhook, url: 'https://hooks.example.com/x', to: [a@b.de]}": "to is not for a receiver",
    "{type: webhook, url: 'https://hooks.example.com/x', headers: {Webhook-Id: '1'}}": (
        "the header Webhook-Id is set by Headrace itself"
    ),
    '{type: webhook, url: "https://hooks.example.com/x", headers: {A: "x\\r\\nB: y"}}': (
        "the header A has a line break"
    ),
    "{type: pigeon, url: 'https://hooks.example.com/x'}": 'cannot be "pigeon"',
}


@pytest.mark.parametrize("text", ["é@[", ".:", ":;]", " .;", "a@b.de, c@d.de"])
def test_what_the_parser_of_addresses_stumbles_over_is_none(text: str) -> None:
    mail = f"{{type: email, url: 'smtp://mail.example.com', from: a@b.de, to: ['{text}']}}"
    with pytest.raises(ConfigProblems) as caught:
        load(RECEIVER.replace("{receiver}", mail))

    assert f"{text!r} is not the address of one mailbox" in str(caught.value)


@pytest.mark.parametrize("receiver", MISTAKES)
def test_a_mistake_in_a_receiver_is_told_at_its_place(receiver: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(RECEIVER.replace("{receiver}", receiver))

    assert MISTAKES[receiver] in str(caught.value)
    assert str(caught.value).startswith("config.yaml:5:")


def test_other_mistakes_are_told_at_their_places() -> None:
    with pytest.raises(ConfigProblems) as caught:
        load(WHOLE.replace("to: [pager]", "to: [pagr]").replace("30s", "0.5s"), ENVIRON)
    text = str(caught.value)
    assert 'config.yaml:3:15: there is no receiver "pagr" [unknown-receiver]' in text
    assert 'did you mean "pager"?' in text
    assert '"interval" is too short' in text

    with pytest.raises(ConfigProblems) as caught:
        load(WHOLE, {name: value for name, value in ENVIRON.items() if name != "BEARER"})
    assert "the environment variable BEARER is not set [unset-variable]" in str(caught.value)

    with pytest.raises(ConfigProblems) as caught:
        load("notifications: {allowed_hosts: ['10.0.0.1:']}")
    assert "config.yaml:1:32: notifications.allowed_hosts" in str(caught.value)
    assert "'10.0.0.1:' has no port behind its colon [bad-value]" in str(caught.value)


def test_rules_are_layered_key_by_key_and_null_is_nobody() -> None:
    base = {"on": ["failure"], "to": ["pager"]}

    assert notify_of(base, {"to": ["chat"]}) == Notify(("failure",), ("chat",))
    assert notify_of(base, None) is None
    assert notify_of(base, None, {"to": ["chat"]}) == Notify(DEFAULT_KINDS, ("chat",))
    assert notify_of({"on": ["success"]}) is None
