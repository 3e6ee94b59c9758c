"""What is asked of other hosts, what their answers mean, and how far a job has got."""

import smtplib
import socket
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi import dispatching, environment_for_programs, meter, names_secret
from headrace.jobapi.outbound import http_call, mail, urls
from headrace.jobapi.outbound.allowed_hosts import OF_NOTIFICATIONS, AllowedHosts, HostRefused
from headrace.jobapi.outbound.deadline import Deadline
from headrace.jobapi.outbound.failures import NotSent, reason_of
from headrace.jobapi.progress import Meter, open_metered
from headrace.observe import redaction

# -- answers --------------------------------------------------------------------------


def judged(status: int, body: bytes = b"", **headers: str) -> NotSent | None:
    def read(size: int) -> bytes:
        if body == b"torn":
            raise OSError("cut")
        return body[:size]

    answer: Any = SimpleNamespace(
        status=status, reason="", headers={k.replace("_", "-"): v for k, v in headers.items()},
        read=read,
    )  # fmt: skip
    try:
        http_call._judge(answer, "h")
    except NotSent as error:
        return error
    return None


def test_an_answer_of_200_to_299_is_taken_for_yes():
    assert [judged(status) for status in (200, 204, 299)] == [None] * 3
    assert str(judged(199)) == "h answered 199"
    for status in (300, 399):
        assert "redirects are not followed" in str(judged(status))


@pytest.mark.parametrize(
    ("status", "is_outage", "is_final"),
    [
        (400, False, False), (401, True, False), (403, True, False), (404, True, False),
        (407, True, False), (408, True, False), (410, False, True), (422, False, False),
        (425, True, False), (429, True, False), (499, False, False), (500, True, False),
        (503, True, False),
    ],
)  # fmt: skip
def test_a_status_tells_whether_the_receiver_is_away_or_refuses_this_message(
    status: int, is_outage: bool, is_final: bool
):
    error = judged(status)

    assert error is not None
    assert (error.is_outage, error.is_final) == (is_outage, is_final)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [("7", 7.0), (" 7 ", 7.0), ("3601", 3600.0), ("soon", None), ("-1", None), ("1.5", None)],
)
def test_how_long_to_wait_is_believed_up_to_an_hour(header: str, wait_s: float | None):
    error = judged(429, retry_after=header)

    assert error is not None
    assert error.wait_s == wait_s
    assert judged(429).wait_s is None  # type: ignore[union-attr]


def test_of_an_answer_s_text_the_beginning_is_told_on_one_line():
    assert str(judged(500, b"a \n b\xff")) == "h answered 500: a b\ufffd"
    assert str(judged(500, b"torn")) == "h answered 500"
    assert str(judged(500, b"x" * 400)) == "h answered 500: " + "x" * 300


def test_an_error_is_told_without_the_objects_of_the_library():
    told = "<urllib3.connection.HTTPConnection object at 0x7f>: Failed to connect"
    assert reason_of(OSError(111, told)) == "Failed to connect"
    assert reason_of(OSError("HTTPConnection(host='h', port=1): Timed out")) == "Timed out"
    assert reason_of(ValueError()) == ""


def test_another_address_is_tried_only_where_nothing_can_have_been_sent(
    monkeypatch: pytest.MonkeyPatch,
):
    tried: list[str] = []
    closed: list[bool] = []

    def sent(_request: Any, _url: Any, address: str, _wait_s: float) -> Any:
        tried.append(address)
        if address == "192.0.2.1":
            raise http_call._Unconnected("refused")
        if address == "192.0.2.3":
            raise NotSent("no answer")
        return SimpleNamespace(status=200, close=lambda: closed.append(True))

    monkeypatch.setattr(http_call, "_sent", sent)

    def call(*addresses: str) -> None:
        tried.clear()
        allowed: Any = SimpleNamespace(addresses=lambda _host, _port: list(addresses))
        http_call.call(http_call.Call("http://h/secret"), allowed, 5.0)

    call("192.0.2.1", "192.0.2.2", "192.0.2.4")
    assert (tried, closed) == (["192.0.2.1", "192.0.2.2"], [True])
    with pytest.raises(NotSent, match=r"^no answer$"):
        call("192.0.2.3", "192.0.2.2")
    assert tried == ["192.0.2.3"]
    with pytest.raises(NotSent, match=r"^h cannot be reached: refused$"):
        call("192.0.2.1", "192.0.2.1")
    assert len(tried) == 2


def test_the_time_of_a_send_is_bounded_in_all_and_by_the_wait(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("headrace.jobapi.outbound.deadline.time.monotonic", lambda: now[0])
    deadline = Deadline(30.0)

    waits = []
    for moment in (0.0, 20.0, 25.0):
        now[0] = moment
        waits.append(deadline.step_s("h"))
    assert waits == [10.0, 10.0, 5.0]
    now[0] = 30.0
    with pytest.raises(NotSent, match=r"^h took longer than 30 s$"):
        deadline.step_s("h")


# -- URLs -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://h:99999/", "the URL cannot be read"),
        ("ftp://h/", "is not an http:// or https:// URL"),
        ("http:///x", "is not an http:// or https:// URL"),
        ("http://h:0/", "is not an http:// or https:// URL"),
        ("http://u@h/", "holds a user name"),
        ("http://:p@h/", "holds a user name"),
        ("http://h/a b", "holds a blank"),
        ("http://h/a\x7f", "holds a blank"),
    ],
)
def test_a_url_that_cannot_be_asked_for_says_why(url: str, told: str):
    with pytest.raises(JobFailure, match=told):
        urls.checked(url)


def test_a_url_is_told_with_its_host_its_port_and_what_is_asked_of_it():
    cases = {
        "http://H.Example./a?b=c#d": ("h.example", 80, "/a?b=c"),
        "https://h": ("h", 443, "/"),
        "https://[::1]:8/%zz%41?q=é": ("[::1]:8", 8, "/%25zz%41?q=%C3%A9"),
    }
    for url, expected in cases.items():
        parts = urls.checked(url)
        assert (urls.host_header(parts), urls.port_of(parts), urls.target_of(parts)) == expected
    assert urls.shown(urlsplit("http://h/a?secret#x")) == "http://h/a"
    assert urls.without_query("http://h/a?b#c?d") == "http://h/a"
    assert urls.origin(urlsplit("http://h/a")) == urls.origin(urlsplit("http://h:80/b"))
    assert urls.origin(urlsplit("http://h/a")) != urls.origin(urlsplit("https://h/a"))


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("http://h/", "http://h/?a=1&b=%26"),
        ("http://h/?", "http://h/?a=1&b=%26"),
        ("http://h/?x=1&", "http://h/?x=1&a=1&b=%26"),
        ("http://h/?x=1#f", "http://h/?x=1&a=1&b=%26#f"),
    ],
)
def test_parameters_stand_behind_those_that_a_url_has(url: str, whole: str):
    assert urls.with_query(url, [("a", "1"), ("b", "&")]) == whole
    assert urls.with_query(url, []) == url


# -- hosts ----------------------------------------------------------------------------


def test_a_list_of_hosts_is_called_by_its_key():
    with pytest.raises(
        HostRefused, match=r"notifications\.allowed_hosts .* no notification is sent"
    ):
        AllowedHosts([], OF_NOTIFICATIONS).addresses("h", 80)
    with pytest.raises(JobFailure, match=r"'10\.0\.0\.0/x' is not an address or network"):
        AllowedHosts(["10.0.0.0/x"])
    with pytest.raises(JobFailure, match="'a:b:c' is not an address or network"):
        AllowedHosts(["a:b:c"])
    with pytest.raises(HostRefused, match="is not a host name"):
        AllowedHosts(["h"]).addresses("a" * 64 + ".example", 80)


def test_a_host_without_an_answer_of_its_own_kind_is_resolved_once(monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def resolve(host: str, port: int, **more: Any) -> list[Any]:
        asked.append((host, port, more))
        return [
            (2, 1, 6, "", (one, port)) for one in ("93.184.216.34", "fe80::1%eth0", "93.184.216.34")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert AllowedHosts(["H.example."]).addresses("h.EXAMPLE.", 80) == ["93.184.216.34"]
    assert asked == [("h.example", 80, {"type": socket.SOCK_STREAM})]


# -- mail -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "told", "is_outage"),
    [
        (smtplib.SMTPRecipientsRefused({"b": (550, b"no"), "a": (551, b"gone\r\naway")}),
         "m:25 refused all recipients: a: 551 gone away; b: 550 no", False),
        (smtplib.SMTPAuthenticationError(535, b"bad"), "m:25 refused the login: 535 bad", True),
        (smtplib.SMTPDataError(550, b"spam"), "m:25 refused the message: 550 spam", False),
        (smtplib.SMTPDataError(599, b""), "m:25 refused the message: 599 ", False),
        (smtplib.SMTPDataError(451, b"later"), "m:25 refused the message: 451 later", True),
        (TimeoutError(), "m:25 gave no answer: TimeoutError", True),
        (OSError("x" * 400), "m:25 gave no answer: " + "x" * 299 + "…", True),
    ],
)  # fmt: skip
def test_what_a_mail_server_says_tells_an_outage_from_a_refusal(
    error: Exception, told: str, is_outage: bool
):
    failed = mail._failed(mail.MailServer("m", 25), error)

    assert (str(failed), failed.is_outage) == (told, is_outage)


class Spoken:
    """A line to a mail server that takes everything."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ehlo_or_helo_if_needed(self) -> None:
        pass

    def send_message(self, *_given: Any) -> dict[str, Any]:
        return {"b@m": (550, b"unknown"), "a@m": (550, b"unknown")}

    def quit(self) -> None:
        raise smtplib.SMTPServerDisconnected("it has the message")

    def close(self) -> None:
        pass


def mailed(monkeypatch: pytest.MonkeyPatch, away: dict[str, Exception]) -> tuple[list[str], Any]:
    """Send a mail to a host of three addresses; returns those that were asked, and the outcome."""
    asked: list[str] = []

    def line(_server: Any, address: str, _deadline: Any) -> Any:
        asked.append(address)
        if address in away:
            raise away[address]
        return Spoken(address)

    monkeypatch.setattr(mail, "_line", line)
    allowed: Any = SimpleNamespace(addresses=lambda _host, _port: ["1::1", "1.1.1.1", "2.2.2.2"])
    server = mail.MailServer("m", 25, tls="none")
    try:
        return asked, mail.send_mail(server, Any, ("s@m", ["a@m", "b@m", "c@m"]), allowed, 5.0)  # type: ignore[arg-type]
    except NotSent as error:
        return asked, str(error)


def test_a_mail_goes_to_the_first_address_that_can_be_reached(monkeypatch: pytest.MonkeyPatch):
    no_route = OSError("no route")
    refused = ["a@m", "b@m"]

    assert mailed(monkeypatch, {}) == (["1::1"], refused)
    assert mailed(monkeypatch, {"1::1": no_route}) == (["1::1", "1.1.1.1"], refused)
    assert mailed(monkeypatch, dict.fromkeys(("1::1", "1.1.1.1", "2.2.2.2"), no_route)) == (
        ["1::1", "1.1.1.1", "2.2.2.2"], "m:25 cannot be reached: no route",
    )  # fmt: skip
    # What a server says is its word, whichever address it has.
    busy = NotSent("m:25 is not ready: 421 later")
    assert mailed(monkeypatch, {"1::1": busy}) == (["1::1"], str(busy))


def test_a_mail_server_that_is_not_allowed_is_told():
    refused = mail.MailServer("127.0.0.1", 25)
    with pytest.raises(NotSent, match=r"127\.0\.0\.1"):
        mail.send_mail(refused, Any, ("s@m", ["a@m"]), AllowedHosts((), OF_NOTIFICATIONS), 5.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("greeting", "told"),
    [
        (b"554 not\tyou\r\n", "is not ready: 554 not you"),
        (b"421 later\r\n", "is not ready: 421 later"),
        (b"", "gave no answer: Connection unexpectedly closed"),
    ],
)
def test_a_mail_server_that_is_not_ready_is_told(greeting: bytes, told: str):
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]

        def answer() -> None:
            with closing(listening.accept()[0]) as line:
                line.sendall(greeting)

        server = Thread(target=answer)
        server.start()
        with pytest.raises(NotSent) as error:
            mail._line(mail.MailServer("h", port, tls="none"), "127.0.0.1", Deadline(30.0))
        server.join(30)

    assert str(error.value).removeprefix(f"h:{port} ") == told


# -- progress -------------------------------------------------------------------------


def test_progress_is_told_at_once_where_much_was_done_and_else_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
):
    now = [10.0]
    monkeypatch.setattr("headrace.jobapi.progress.time.monotonic", lambda: now[0])
    told: list[Any] = []
    counted = Meter(lambda *what: told.append(what))

    counted.show(3)
    counted.show(3, 9, "pages")
    counted.expect(100)
    assert told == [(None, 3, None, "rows"), (None, 3, 9, "pages")]
    told.clear()
    counted.add_rows(1)  # The first one; the next two are told together, a moment later.
    counted.add_bytes(5)
    now[0] += 0.01
    counted.add_rows(1)
    now[0] += 0.01
    counted.add_rows(1)
    counted.add_rows(999)
    counted.add_rows(1000)
    counted.add_bytes(1 << 16)
    counted.add_bytes((1 << 16) - 1)
    assert told == [
        (1, 0, 100, "bytes"), (3, 5, 100, "bytes"), (2002, 5, 100, "bytes"),
        (2002, 65541, 100, "bytes"),
    ]  # fmt: skip
    silent = Meter()
    silent.add_rows(2)
    silent.add_bytes(3)
    assert (silent.rows, silent.done, silent.total, silent.unit) == (2, 3, None, "bytes")


def test_the_bytes_of_a_file_are_counted_as_they_pass(tmp_path: Any):
    counted = Meter()
    with open_metered(tmp_path / "f", "wb", counted) as file:
        file.write(b"x" * 300_000)
    assert counted.done == 300_000
    with open_metered(tmp_path / "f", "rb", counted) as file:
        assert len(file.read(1)) == 1
        assert counted.done == 300_000 + (1 << 17)
        assert len(file.read()) == 299_999
    assert counted.done == 600_000
    assert meter() is not meter()


# -- the door -------------------------------------------------------------------------


def test_who_dispatches_in_a_block_does_so_in_it_only(monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def by(name: str) -> Any:
        return SimpleNamespace(
            dispatch=lambda job, payload, **options: asked.append((name, job, payload, options)),
            dispatch_many=lambda *_, **__: [name],
        )

    monkeypatch.setattr(dispatching, "_dispatcher", [])
    dispatching.use_dispatcher(by("outer"))
    with suppress(ZeroDivisionError), dispatching.dispatching_by(by("inner")):
        dispatching.dispatch("J", {"a": 1}, queue="low")
        raise ZeroDivisionError
    dispatching.dispatch("K", {})
    assert asked == [("inner", "J", {"a": 1}, {"queue": "low"}), ("outer", "K", {}, {})]
    assert dispatching.dispatch_many("J", []) == ["outer"]


def test_who_has_said_nothing_dispatches_as_the_project_around(monkeypatch: pytest.MonkeyPatch):
    made: list[str] = []
    dispatcher: Any = SimpleNamespace(dispatch=lambda job, _payload: f"{job} {len(made)}")
    monkeypatch.setattr(dispatching, "_dispatcher", [])
    monkeypatch.setattr(
        "headrace.engine.application.local_dispatcher",
        lambda: (made.append("made"), dispatcher)[1],  # type: ignore[func-returns-value]
    )

    assert [dispatching.dispatch("J", {}), dispatching.dispatch("K", {})] == ["J 1", "K 1"]


def test_who_dispatches_a_job_reads_no_secrets_of_the_worker_s(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SHOP_TOKEN", "hunter-22")
    attempt = SimpleNamespace(authored=False)
    monkeypatch.setattr(jobapi, "_current", SimpleNamespace(get=lambda: attempt))

    assert jobapi.reveal("plain $SHOP_TOKEN $${SHOP_TOKEN}") == "plain $SHOP_TOKEN ${SHOP_TOKEN}"
    with pytest.raises(JobFailure) as told:
        jobapi.reveal("Bearer ${SHOP_TOKEN}")
    assert str(told.value) == redaction.NOT_AUTHORED
    assert "hunter-22" not in str(told.value)
    attempt.authored = True
    assert jobapi.reveal("Bearer ${SHOP_TOKEN}") == "Bearer hunter-22"
    redaction.forget()


def test_outside_a_worker_no_notices_are_heard(tmp_path: Path):
    folders: Any = None
    sessions: Any = None
    with jobapi.Attempt("j", 1, tmp_path, folders, sessions).notices() as heard:
        assert heard == []


def test_programs_get_all_but_what_is_headrace_s_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADRACE_API_TOKEN", "x")
    monkeypatch.setenv("SHOP_TOKEN", "y")

    given = environment_for_programs()

    assert "HEADRACE_API_TOKEN" not in given
    assert given["SHOP_TOKEN"] == "y"
    assert "PATH" in given
    assert (names_secret("a ${B}"), names_secret("a $${B}")) == (True, False)
