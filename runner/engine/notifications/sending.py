"""Sends one message to one receiver."""

import time
from email.utils import parseaddr

from headrace.declarations.config.notifications import SMTP_PORTS, mail_url
from headrace.engine.notifications import forms
from headrace.engine.notifications.messages import Message
from headrace.engine.notifications.own_words import in_own_words
from headrace.jobapi.outbound.allowed_hosts import OF_NOTIFICATIONS, AllowedHosts
from headrace.jobapi.outbound.http_call import Call, call
from headrace.jobapi.outbound.mail import MailServer, send_mail
from headrace.model.notifications import Notifications, Receiver

# Of a send in all, so that it has ended before another daemon may take over what it sends.
SEND_S = 30.0


def send(message: Message, receiver: Receiver, settings: Notifications) -> str | None:
    """Send a message; returns what is to be told though it was accepted.

    Raises:
        NotSent: It did not arrive, as far as is known.
    """
    allowed = AllowedHosts(settings.allowed_hosts, OF_NOTIFICATIONS)
    message = in_own_words(message, receiver)
    if receiver.type == "email":
        return _mail(message, receiver, allowed)
    _post(message, receiver, allowed)
    return None


def _post(message: Message, receiver: Receiver, allowed: AllowedHosts) -> None:
    made = {"slack": forms.slack_body, "teams": forms.teams_body}
    body = made.get(receiver.type, forms.webhook_body)(message)
    standard = forms.webhook_headers(message, body, receiver.secret, int(time.time()))
    headers = {**receiver.headers, "Content-Type": "application/json", **standard}
    call(Call(receiver.url, headers=headers, body=body), allowed, SEND_S)


def _mail(message: Message, receiver: Receiver, allowed: AllowedHosts) -> str | None:
    url = mail_url(receiver.url)
    tls = "implicit" if url.scheme == "smtps" else "starttls" if receiver.starttls else "none"
    server = MailServer(
        url.hostname or "",
        url.port or SMTP_PORTS[url.scheme],
        tls,
        receiver.username,
        receiver.password,
    )
    sender = parseaddr(receiver.sender)[1]
    recipients = [parseaddr(one)[1] for one in receiver.to]
    refused = send_mail(
        server, forms.email_of(message, receiver), (sender, recipients), allowed, SEND_S
    )
    return f"refused for {', '.join(refused)}" if refused else None
