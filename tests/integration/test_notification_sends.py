"""Sends to real servers on this machine: what arrives, and what each failure is called."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.engine.notifications import sending
from headrace.engine.notifications.messages import Message, trial_message
from headrace.jobapi.outbound.failures import NotSent
from headrace.model.notifications import Notifications, Receiver
from tests.support.http import Answered, HttpServer, http_server
from tests.support.mail import mail_server
from tests.support.ports import free_port

MESSAGE = trial_message("the-id", "pager", None, datetime.now(UTC))
LOCAL = Notifications(allowed_hosts=("localhost", "127.0.0.1"))


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as made:
        yield made


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of the name localhost, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl")
    path = tmp_path_factory.mktemp("tls") / "mail.pem"
    key, crt = path.with_suffix(".key"), path.with_suffix(".crt")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=mail", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(crt)],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(key.read_text() + crt.read_text())
    return path


def send(receiver: Receiver, message: Message = MESSAGE, **settings: Any) -> str | None:
    return sending.send(message, receiver, replace(LOCAL, **settings))


def webhook(server: HttpServer, path: str = "/x", **more: Any) -> Receiver:
    return Receiver("pager", "webhook", server.url(path), **more)


def failed(receiver: Receiver, **settings: Any) -> NotSent:
    with pytest.raises(NotSent) as caught:
        send(receiver, **settings)
    return caught.value


def test_a_webhook_gets_its_headers_and_id(server: HttpServer) -> None:
    server.routes["/x"] = Answered()

    assert send(webhook(server, headers={"Authorization": "Bearer b"})) is None

    (asked,) = server.asked
    assert asked.method == "POST"
    assert asked.headers["webhook-id"] == "the-id"
    assert asked.headers["Authorization"] == "Bearer b"
    assert asked.headers["Content-Type"] == "application/json"


def test_no_redirect_is_followed(server: HttpServer) -> None:
    server.redirect("/x", "http://169.254.169.254/latest", 307)

    assert "answered 307" in str(failed(webhook(server)))
    assert "redirects are not followed" in str(failed(webhook(server)))


def test_a_host_that_is_not_listed_or_leads_into_the_own_network_is_not_asked(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlisted = failed(webhook(server), allowed_hosts=("hooks.example.com",))
    assert "127.0.0.1 is not among notifications.allowed_hosts" in str(unlisted)

    private = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", server.port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_more: [private])
    url = f"http://hooks.example.com:{server.port}/x"
    inside = failed(Receiver("pager", "webhook", url), allowed_hosts=("hooks.example.com",))
    assert "resolves to 10.0.0.1, a private address" in str(inside)
    assert server.asked == []


def test_a_failure_names_the_host_and_not_the_path_with_its_token(server: HttpServer) -> None:
    server.routes["/t0ken"] = Answered(b"oh", 500)
    place = f"127.0.0.1:{server.port}"

    error = failed(webhook(server, "/t0ken?key=s3cret"))

    assert str(error) == f"{place} answered 500 Internal Server Error: oh"
    assert error.is_outage


@pytest.mark.parametrize(
    ("status", "is_outage", "is_final"),
    [(400, False, False), (401, True, False), (410, False, True)],
)
def test_a_status_tells_an_outage_from_a_message_that_is_refused(
    server: HttpServer, status: int, is_outage: bool, is_final: bool
) -> None:
    server.routes["/x"] = Answered(status=status, headers={"Retry-After": "7"})

    error = failed(webhook(server))

    assert (error.is_outage, error.is_final, error.wait_s) == (is_outage, is_final, 7.0)


def test_a_receiver_that_is_away_or_silent_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    away = str(failed(Receiver("pager", "webhook", f"http://127.0.0.1:{port}/t0ken")))
    assert away.startswith(f"127.0.0.1:{port} cannot be reached: ")
    assert "[Errno 111] Connection refused" in away

    monkeypatch.setattr(sending, "SEND_S", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/t0ken"
        error = failed(Receiver("pager", "webhook", url))
        assert "gave no answer" in str(error)
        assert "t0ken" not in str(error)
        mail = f"smtp://127.0.0.1:{silent.getsockname()[1]}"
        assert "timed out" in str(failed(post(mail, starttls=False)))


def post(url: str, **more: Any) -> Receiver:
    values = {"sender": "Headrace <etl@example.com>", "to": ("a@example.com", "b@example.com")}
    return Receiver("post", "email", url, **{**values, **more})


def test_an_email_arrives_at_all_recipients() -> None:
    with mail_server(free_port()) as server:
        assert send(post(f"smtp://localhost:{server.port}", starttls=False)) is None

    (taken,) = server.taken
    assert taken["Message-ID"] == "<the-id@example.com>"
    assert server.recipients == [["a@example.com", "b@example.com"]]


def test_a_recipient_that_is_refused_is_told_and_the_others_get_it_once() -> None:
    with mail_server(free_port()) as server:
        server.refused = {"b@example.com"}
        receiver = post(f"smtp://localhost:{server.port}", starttls=False)
        assert send(receiver) == "refused for b@example.com"
        assert server.recipients == [["a@example.com"]]
        server.refused = {"a@example.com", "b@example.com"}
        error = failed(receiver)
        assert "refused all recipients: a@example.com: 550 unknown here" in str(error)
        assert not error.is_outage
        server.refused, server.answer = set(), "451 try again"
        assert "refused the message: 451 try again" in str(failed(receiver))


def test_a_mail_server_without_starttls_gets_nothing() -> None:
    with mail_server(free_port()) as server:
        error = failed(post(f"smtp://localhost:{server.port}"))
        assert f"localhost:{server.port} offers no STARTTLS" in str(error)
        assert server.taken == []


def test_a_login_goes_over_tls_only_and_to_the_server_of_the_name(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = {"username": "etl", "password": "right"}
    with mail_server(free_port(), certificate) as server:
        receiver = post(f"smtp://localhost:{server.port}", **login)
        assert "certificate verify failed" in str(failed(receiver))
        assert server.logins == []

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
        by_address = post(f"smtp://127.0.0.1:{server.port}", **login)
        assert "IP address mismatch" in str(failed(by_address))
        wrong = failed(replace(receiver, password="wr0ng"))
        assert "refused the login: 535" in str(wrong)
        assert "wr0ng" not in str(wrong)
        assert send(receiver) is None
    assert server.logins[-1] == ("etl", "right")
    assert len(server.taken) == 1


def test_smtps_speaks_tls_from_the_first_byte(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    with mail_server(free_port(), certificate, implicit_tls=True) as server:
        assert send(post(f"smtps://localhost:{server.port}")) is None
    assert len(server.taken) == 1


FAILED = replace(
    MESSAGE,
    kind="failure",
    subject="sales failed",
    lines=("Step load failed",),
    link="https://etl.example.com/#/runs/1",
    data={"pipeline": "sales", "error": 'no "table" <!here>', "failed_steps": 2, "steps": []},
)
OWN: dict[str, Any] = {
    "subject": "[{{ kind | upper }}] {{ pipeline }}",
    "text": "{{ subject }}: {{ error }}\n{{ link }}",
}


def test_each_form_carries_the_receivers_own_words(server: HttpServer) -> None:
    server.routes["/x"] = Answered()
    payload = {"summary": "{{ subject }}", "why": "{{ error }}", "n": "{{ failed_steps }}"}
    expected = '[FAILURE] sales: no "table" <!here>'

    for kind in ("webhook", "slack", "teams"):
        assert send(Receiver("pager", kind, server.url("/x"), **OWN), FAILED) is None
    assert send(webhook(server, **OWN, body={"payload": payload}), FAILED) is None
    with mail_server(free_port()) as mail:
        assert send(post(f"smtp://127.0.0.1:{mail.port}", starttls=False, **OWN), FAILED) is None

    standard, slack, teams, own = (json.loads(asked.body) for asked in server.asked)
    assert standard["data"]["text"] == f"{expected}\nhttps://etl.example.com/#/runs/1"
    assert slack["text"] == "[FAILURE] sales"
    assert slack["blocks"][1]["text"]["text"].startswith(expected)
    card = teams["attachments"][0]["content"]["body"]
    assert [block["inlines"][0]["text"] for block in card][:2] == ["[FAILURE] sales", expected]
    assert own == {"payload": {"summary": "[FAILURE] sales", "why": 'no "table" <!here>', "n": 2}}
    (taken,) = mail.taken
    assert taken["Subject"] == "[FAILURE] sales"
    assert (
        str(taken.get_payload()).split() == f"{expected} https://etl.example.com/#/runs/1".split()
    )


def test_words_that_cannot_be_made_after_all_do_not_keep_a_notification_back(
    server: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.routes["/x"] = Answered()
    broken = {"text": "{% for n in range(failed_steps * 99999) %}x{% endfor %}"}

    assert send(webhook(server, **broken), FAILED) is None

    text = json.loads(server.asked[0].body)["data"]["text"]
    assert text.startswith("Step load failed\n(A template of this receiver could not be used: text")
    assert "the standard words are sent to pager: text" in caplog.text
    refused = failed(webhook(server, body={"n": "{{ steps[failed_steps].step }}"}))
    assert "its own body cannot be made: body.n" in str(refused)
    assert not refused.is_outage
