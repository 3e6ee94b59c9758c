"""Each key of a receiver and a connection: what it refuses, and what it just takes."""

import base64
from pathlib import Path

import pytest

from headrace.declarations.config import ConfigProblems, Settings, load_settings
from headrace.declarations.config.notifications import key_of
from headrace.model.notifications import Heartbeat

URLS = {
    "webhook": "https://hooks.example.com/x",
    "slack": "https://hooks.example.com/x",
    "teams": "https://hooks.example.com/x",
    "email": "smtp://mail.example.com",
}
MAIL = "from: a@b.de, to: [c@d.de]"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str) -> Settings:
    Path("config.yaml").write_text(text)
    return load_settings({})


def refused(text: str) -> list[tuple[int, str, str, str]]:
    with pytest.raises(ConfigProblems) as caught:
        load(text)
    return [(one.line, one.code, one.message, one.hint) for one in caught.value.problems]


def notifications(more: str) -> str:
    return f"notifications:\n  allowed_hosts: [hooks.example.com, mail.example.com]\n{more}\n"


def receiver(kind: str, more: str = "", url: str = "") -> str:
    said = f"type: {kind}, url: '{url or URLS[kind]}'{', ' if more else ''}{more}"
    return notifications(f"  receivers:\n    one: {{{said}}}")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        *(
            (kind, key)
            for kind in ("webhook", "slack", "teams")
            for key in (
                "from: a@b.de",
                "to: [c@d.de]",
                "username: u",
                "password: p",
                "starttls: true",
            )
        ),
        ("slack", "secret: s"),
        ("teams", "secret: s"),
        ("email", f"{MAIL}, secret: s"),
        ("email", f"{MAIL}, headers: {{A: b}}"),
    ],
)
def test_a_key_of_another_kind_of_receiver_is_refused(kind: str, key: str) -> None:
    name = key.removeprefix(f"{MAIL}, ").partition(":")[0]
    assert refused(receiver(kind, key)) == [
        (4, "bad-key", f"{name} is not for a receiver of type {kind}", "remove it")
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://mail.example.com", "write smtp://mail.example.com:587 or smtps://"),
        ("smtp://", "write smtp://mail.example.com:587 or smtps://"),
        ("smtp://mail.example.com:0", "write smtp://mail.example.com:587 or smtps://"),
        ("smtp://mail.example.com:99999", "Port out of range"),
        ("smtp://mail.example.com/x", "nothing may follow the host and port"),
        ("smtp://mail.example.com?x=1", "nothing may follow the host and port"),
        ("smtp://mail.example.com#x", "nothing may follow the host and port"),
        ("smtp://u@mail.example.com", "the login belongs in the keys `username` and `password`"),
        ("smtp://:p@mail.example.com", "the login belongs in the keys `username` and `password`"),
        ("smtp://other.example.com", "other.example.com is not among notifications.allowed_hosts"),
    ],
)
def test_what_is_no_url_of_an_allowed_mail_server_is_refused(url: str, message: str) -> None:
    ((line, code, told, hint),) = refused(receiver("email", MAIL, url))
    assert (line, code, hint) == (4, "bad-url", "write smtp://host:587, and list the host")
    assert told.startswith(message)


@pytest.mark.parametrize(
    "keys",
    [
        "username: u, password: p",
        "username: u, password: p, starttls: true",
        "starttls: false",
    ],
)
def test_a_login_is_taken_where_it_is_encrypted(keys: str) -> None:
    one = load(receiver("email", f"{MAIL}, {keys}")).notifications.receivers["one"]
    assert (one.sender, one.to) == ("a@b.de", ("c@d.de",))
    assert one.starttls is ("false" not in keys)


def test_smtps_encrypts_without_starttls() -> None:
    keys = f"{MAIL}, username: u, password: p, starttls: false"
    one = load(receiver("email", keys, "smtps://mail.example.com:465/")).notifications
    assert one.receivers["one"].password == "p"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("to: [c@d.de]", ["an e-mail needs from"]),
        ("from: a@b.de", ["an e-mail needs to"]),
        (f"{MAIL}, password: p", ["`username` and `password` belong together"]),
        ("from: a, to: [c@d.de]", ["'a' is not the address of one mailbox"]),
        ("from: a@b.de, to: ['<>']", ["'<>' is not the address of one mailbox"]),
        ("from: a@b.de, to: ['@d.de']", ["'@d.de' is not the address of one mailbox"]),
        ("from: a@b.de, to: ['ü@d.de']", ["'ü@d.de' is not the address of one mailbox"]),
        ("from: a@b.de, to: ['c@@d.de']", ["'c@@d.de' is not the address of one mailbox"]),
    ],
)
def test_what_an_e_mail_lacks_or_cannot_be_sent_to_is_refused(keys: str, told: list[str]) -> None:
    assert [message for _, _, message, _ in refused(receiver("email", keys))] == told


@pytest.mark.parametrize("value", ['"x\\ny"', "é", '"x\\ty"'])
def test_a_header_that_cannot_be_sent_is_refused(value: str) -> None:
    ((_, code, message, _),) = refused(receiver("slack", f"headers: {{A: {value}}}"))
    assert code == "bad-value"
    assert message.startswith("the header A has a line break or another character")


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Content-Type", "transfer-encoding", "Connection"]
)
def test_a_header_that_the_request_sets_itself_is_refused(name: str) -> None:
    ((_, code, message, _),) = refused(receiver("teams", f"headers: {{{name}: a}}"))
    assert (code, message) == ("bad-key", f"the header {name} is set by Headrace itself")


@pytest.mark.parametrize(
    ("secret", "taken"),
    [
        *(
            (f"whsec_{base64.b64encode(b'k' * n).decode()}", 24 <= n <= 64)
            for n in (23, 24, 64, 65)
        ),
        (base64.b64encode(b"k" * 30).decode(), False),
        ("whsec_?", False),
    ],
)
def test_a_secret_is_one_of_standard_webhooks(secret: str, taken: bool) -> None:
    assert (key_of(secret) is not None) is taken


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        ("  allowed_hosts: ['10.0.0.0/99']", "bad-value", "10.0.0.0/99"),
        (
            "  heartbeat: {url: 'https://x.example.com/'}",
            "bad-url",
            "x.example.com is not among notifications.allowed_hosts",
        ),
        (
            "  heartbeat: {url: 'https://hooks.example.com/', interval: 0.9s}",
            "bad-duration",
            '"interval" is too short',
        ),
        ("  retry_delay: 0s", "bad-duration", '"retry_delay" is too short'),
        ("  give_up_after: 0s", "bad-duration", '"give_up_after" is too short'),
        ("  give_up_after: 99999999d", "bad-duration", "longer"),
    ],
)
def test_a_mistake_beside_the_receivers_is_told(more: str, code: str, message: str) -> None:
    text = notifications(more)
    if "allowed_hosts" in more:
        text = f"notifications:\n{more}\n"
    ((_, found, told, hint),) = refused(text)
    assert found == code
    assert message in told
    assert hint


def test_the_shortest_interval_is_taken_and_a_minute_is_the_usual_one() -> None:
    heartbeat = "  heartbeat: {url: 'https://hooks.example.com/'"
    for more, interval_s in ((", interval: 1s}", 1.0), ("}", 60.0)):
        found = load(notifications(heartbeat + more)).notifications.heartbeat
        assert found == Heartbeat("https://hooks.example.com/", interval_s)


def test_without_any_receiver_it_is_told_where_one_is_declared() -> None:
    ((_, code, message, hint),) = refused("notify: {to: [pager]}\n")
    assert (code, message) == ("unknown-receiver", 'there is no receiver "pager"')
    assert hint == "declare it under notifications.receivers in config.yaml"


@pytest.mark.parametrize(
    ("entry", "code", "message"),
    [
        ("url: sqlite:///x.db, role: r", "bad-key", "role is for PostgreSQL; the connection is SQ"),
        ("url: sqlite:///x.db, search_path: [s]", "bad-key", "search_path is for PostgreSQL"),
        ("url: sqlite:///x.db, timezone: UTC", "bad-key", "timezone is for PostgreSQL"),
        ("url: 'postgresql://h/d', lock_timeout: 99999999d", "bad-duration", "longer"),
        ("url: 'postgresql://h/d', statement_timeout: 99999999d", "bad-duration", "longer"),
        ("url: 'postgresql://h/d', timezone: Europe", "bad-timezone", 'no time zone "Europe"'),
        ("url: 'postgresql://h/d', timezone: ../x", "bad-timezone", 'no time zone "../x"'),
        ("url: 'postgresql://h/d', timezone: Nowhere", "bad-timezone", 'no time zone "Nowhere"'),
    ],
)
def test_what_a_connection_cannot_have_is_refused(entry: str, code: str, message: str) -> None:
    ((_, found, told, hint),) = refused(f"connections:\n  dwh: {{{entry}}}\n")
    assert found == code
    assert message in told
    assert hint
