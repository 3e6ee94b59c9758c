"""Sends an e-mail by SMTP, to an address of the server that was looked at."""

import smtplib
import socket
import ssl
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from headrace.errors import HeadraceError
from headrace.errors.shortened import shortened
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts, plain_host
from headrace.jobapi.outbound.deadline import Deadline
from headrace.jobapi.outbound.failures import NotSent

# What a server says of one message, not of itself.
_REFUSED = range(500, 600)
_READY = 220
_TOLD_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class MailServer:
    """A server and how to speak to it. `tls` is one of none, starttls and implicit."""

    host: str
    port: int
    tls: str = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def place(self) -> str:
        """Return the server as messages name it."""
        return f"{self.host}:{self.port}"


def send_mail(
    server: MailServer,
    message: EmailMessage,
    addresses: tuple[str, Sequence[str]],
    allowed: AllowedHosts,
    seconds: float,
) -> list[str]:
    """Send a message; `addresses` are the sender's and the recipients'.

    Returns the recipients that the server has refused while it took others.

    Raises:
        NotSent: Nobody got it, as far as is known.
    """
    deadline = Deadline(seconds)
    try:
        found = allowed.addresses(server.host, server.port)
    except HeadraceError as error:
        raise NotSent(str(error)) from None
    with closing(_first_line(server, found, deadline)) as line:
        return _spoken(line, server, message, addresses)


class _Pinned(smtplib.SMTP):
    """A line to one address of the host; each answer is waited for as long as the deadline lets."""

    def __init__(self, server: MailServer, address: str, deadline: Deadline) -> None:
        self._address, self._deadline, self._place = address, deadline, server.place
        name = socket.gethostname()
        # Not what the library would ask DNS for, without a limit.
        super().__init__(local_hostname=name if "." in name else "[127.0.0.1]")
        self._host = server.host  # STARTTLS checks the certificate by it.

    def _get_socket(self, _host: str, port: int, _timeout: float) -> Any:
        return socket.create_connection((self._address, port), self._deadline.step_s(self._place))

    def getreply(self) -> tuple[int, bytes]:
        """Return the server's answer."""
        if self.sock is not None:
            self.sock.settimeout(self._deadline.step_s(self._place))
        return super().getreply()


class _PinnedTls(_Pinned):
    """The same, encrypted from the first byte; the certificate is checked by the host's name."""

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        plain = super()._get_socket(host, port, timeout)
        return ssl.create_default_context().wrap_socket(plain, server_hostname=plain_host(host))


def _first_line(server: MailServer, addresses: Sequence[str], deadline: Deadline) -> smtplib.SMTP:
    """Return a line to the first address that can be reached."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return _line(server, address, deadline)
    try:
        return _line(server, addresses[-1], deadline)
    except OSError as error:
        raise NotSent(f"{server.place} cannot be reached: {error}") from None


def _line(server: MailServer, address: str, deadline: Deadline) -> smtplib.SMTP:
    line = (_PinnedTls if server.tls == "implicit" else _Pinned)(server, address, deadline)
    try:
        code, said = line.connect(server.host, server.port)
    except smtplib.SMTPException as error:
        raise _failed(server, error) from None
    if code != _READY:
        raise NotSent(f"{server.place} is not ready: {code} {_text(said)}")
    return line


def _spoken(
    line: smtplib.SMTP,
    server: MailServer,
    message: EmailMessage,
    addresses: tuple[str, Sequence[str]],
) -> list[str]:
    try:
        line.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            _encrypt(line, server)
        if server.username is not None:
            line.login(server.username, server.password or "")
        refused = line.send_message(message, addresses[0], list(addresses[1]))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise _failed(server, error) from None
    with suppress(smtplib.SMTPException, OSError, NotSent):
        line.quit()  # It has the message, whatever becomes of the line.
    return sorted(refused)


def _encrypt(line: smtplib.SMTP, server: MailServer) -> None:
    if not line.has_extn("starttls"):
        raise NotSent(
            f"{server.place} offers no STARTTLS: use smtps://, or `starttls: false` in a network"
            " that you trust"
        )
    line.starttls(context=ssl.create_default_context())
    line.ehlo()


def _failed(server: MailServer, error: Exception) -> NotSent:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = "; ".join(f"{who}: {code} {_text(text)}" for who, (code, text) in _all(error))
        return NotSent(f"{server.place} refused all recipients: {said}", is_outage=False)
    if isinstance(error, smtplib.SMTPResponseException):
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
        is_login = isinstance(error, smtplib.SMTPAuthenticationError)
        what = "refused the login" if is_login else "refused the message"
        is_outage = is_login or error.smtp_code not in _REFUSED
        return NotSent(f"{server.place} {what}: {said}", is_outage=is_outage)
    return NotSent(f"{server.place} gave no answer: {_text(str(error)) or type(error).__name__}")


def _all(error: smtplib.SMTPRecipientsRefused) -> list[tuple[str, tuple[int, bytes]]]:
    return sorted(error.recipients.items())


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return shortened(" ".join(text.split()), _TOLD_CHARACTERS)
