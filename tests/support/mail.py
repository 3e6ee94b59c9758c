"""A real mail server on this machine, which may be away, refuse, or demand TLS and a login."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword


@dataclass
class MailServer:
    """What it has taken. `refused` are recipients that it does not know."""

    port: int
    taken: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    answer: str = "250 taken"
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - the library calls it so
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Any
    ) -> str:
        if address in self.refused:
            return "550 unknown here"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.taken.append(message_from_bytes(envelope.content, policy=default))
            self.recipients.append(list(envelope.rcpt_tos))
        return self.answer

    def log_in(
        self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        self.logins.append((given.login.decode(), given.password.decode()))
        return AuthResult(success=given.password == b"right", handled=False)


@contextmanager
def mail_server(
    port: int, certificate: Path | None = None, *, implicit_tls: bool = False
) -> Iterator[MailServer]:
    """Yield a server on 127.0.0.1; with a certificate (PEM, its key too) it speaks TLS."""
    made = MailServer(port)
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    options: dict[str, Any] = {}
    if context is not None:
        options = {"authenticator": made.log_in, "auth_require_tls": not implicit_tls}
        if implicit_tls:
            options["ssl_context"] = context
        else:
            options["tls_context"] = context
    controller = Controller(made, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
