"""Reads `notifications`, `notify` and `public_url` of config.yaml, and checks what they name."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from headrace.declarations.config.notification_texts import TEXT_KEYS, Fault, text_faults
from headrace.declarations.source import KeyPath
from headrace.errors import HeadraceError
from headrace.errors.suggestions import did_you_mean
from headrace.jobapi.outbound.allowed_hosts import OF_NOTIFICATIONS, AllowedHosts
from headrace.jobapi.outbound.urls import checked, port_of
from headrace.model.duration import parse_duration_s
from headrace.model.notifications import (
    DEFAULT_KINDS,
    Heartbeat,
    Notifications,
    Notify,
    Receiver,
)

SMTP_PORTS: Mapping[str, int] = {"smtp": 587, "smtps": 465}
_OF_MAIL = ("from", "to", "username", "password", "starttls")
_OF_HTTP = ("headers",)
# What the request says by itself.
_OWN_HEADERS = re.compile(
    r"host|content-(length|type|encoding)|transfer-encoding|connection|webhook-.*", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHORTEST_INTERVAL_S = 1.0
_KEY_BYTES = range(24, 65)


def notification_faults(data: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with these keys of a configuration that fits the schema."""
    given = data.get("notifications") or {}
    at: KeyPath = ("notifications",)
    try:
        allowed = AllowedHosts(given.get("allowed_hosts") or (), OF_NOTIFICATIONS)
    except HeadraceError as error:
        yield (*at, "allowed_hosts"), "bad-value", str(error), "write 10.1.0.0/16 or [::1]:8443"
        return
    for name, receiver in (given.get("receivers") or {}).items():
        yield from _receiver_faults(receiver, (*at, "receivers", name), allowed)
        yield from text_faults(receiver, (*at, "receivers", name), data.get("public_url"))
    heartbeat = given.get("heartbeat")
    if heartbeat:
        yield from _url_faults(heartbeat["url"], (*at, "heartbeat", "url"), allowed)
        yield from _duration_faults(heartbeat, (*at, "heartbeat"), "interval")
    for key in ("retry_delay", "give_up_after"):
        yield from _duration_faults(given, at, key)
    yield from unknown_receivers(data.get("notify"), ("notify",), given.get("receivers") or {})


def unknown_receivers(notify: Any, at: KeyPath, receivers: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the receivers of a `notify`, at its place, that the configuration does not have."""
    listed = notify.get("to") if isinstance(notify, dict) else None
    for index, name in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(name, str) and name not in receivers:
            hint = did_you_mean(name, list(receivers), listed_as="receivers")
            hint = hint or "declare it under notifications.receivers in config.yaml"
            yield (*at, "to", index), "unknown-receiver", f'there is no receiver "{name}"', hint


def notification_settings(value: Callable[[KeyPath], Any]) -> dict[str, Any]:
    """Return the settings of these keys, given a function that returns a key's value."""

    def of(key: str) -> Any:
        return value(("notifications", key))

    heartbeat = of("heartbeat")
    return {
        "public_url": value(("public_url",)),
        "notify": notify_of(value(("notify",))),
        "notifications": Notifications(
            allowed_hosts=tuple(of("allowed_hosts")),
            receivers={name: _receiver(name, one) for name, one in of("receivers").items()},
            heartbeat=heartbeat
            and Heartbeat(heartbeat["url"], parse_duration_s(heartbeat.get("interval", "1m"))),
            retry_delay_s=parse_duration_s(of("retry_delay")),
            give_up_after_s=parse_duration_s(of("give_up_after")),
        ),
    }


def notify_of(*layers: Mapping[str, Any] | None) -> Notify | None:
    """Return a rule from its layers, the outermost first: each one's keys over those before.

    A layer that is null lets nobody be told; None is also returned where nobody is named.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = {} if layer is None else {**merged, **layer}
    if not merged.get("to"):
        return None
    return Notify(tuple(merged.get("on", DEFAULT_KINDS)), tuple(merged["to"]))


def mail_url(text: str) -> SplitResult:
    """Return the URL of a mail server.

    Raises:
        ValueError: It is none; the message says why.
    """
    url = urlsplit(text)
    if url.scheme not in SMTP_PORTS or not url.hostname or url.port == 0:
        raise ValueError("write smtp://mail.example.com:587 or smtps://mail.example.com:465")
    if url.username is not None or url.password is not None:
        raise ValueError("the login belongs in the keys `username` and `password`")
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError("nothing may follow the host and port")
    return url


def _receiver(name: str, data: Mapping[str, Any]) -> Receiver:
    return Receiver(
        name=name,
        type=data["type"],
        url=data["url"],
        headers=dict(data.get("headers", {})),
        secret=data.get("secret"),
        sender=data.get("from", ""),
        to=tuple(data.get("to", ())),
        username=data.get("username"),
        password=data.get("password"),
        starttls=data.get("starttls", True),
        **{key: data[key] for key in TEXT_KEYS if key in data},
    )


def _receiver_faults(
    data: Mapping[str, Any], at: KeyPath, allowed: AllowedHosts
) -> Iterator[Fault]:
    kind = data["type"]
    foreign = {"email": (*_OF_HTTP, "secret"), "webhook": _OF_MAIL}.get(kind, (*_OF_MAIL, "secret"))
    for key in foreign:
        if key in data:
            yield (*at, key), "bad-key", f"{key} is not for a receiver of type {kind}", "remove it"
    if kind == "email":
        yield from _mail_faults(data, at, allowed)
        return
    yield from _url_faults(data["url"], (*at, "url"), allowed)
    for name, text in data.get("headers", {}).items():
        if _OWN_HEADERS.fullmatch(name):
            message = f"the header {name} is set by Headrace itself"
            yield (*at, "headers", name), "bad-key", message, "remove it"
        elif not text.isprintable() or not text.isascii():
            message = f"the header {name} has a line break or another character that cannot be sent"
            yield (*at, "headers", name), "bad-value", message, "write printable ASCII text"
    if kind == "webhook" and "secret" in data and key_of(data["secret"]) is None:
        hint = "write whsec_ and 24 to 64 random bytes in base64: `openssl rand -base64 32`"
        yield (*at, "secret"), "bad-value", "this is no secret of Standard Webhooks", hint


def key_of(secret: str) -> bytes | None:
    """Return the key in a secret of Standard Webhooks, None if it is none."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:  # A character that is none of base64's, or not even of ASCII.
        return None
    return key if secret.startswith("whsec_") and len(key) in _KEY_BYTES else None


def _url_faults(text: str, at: KeyPath, allowed: AllowedHosts) -> Iterator[Fault]:
    try:
        url = checked(text)
        allowed.refuse_unlisted(url.hostname or "", port_of(url))
    except HeadraceError as error:
        yield at, "bad-url", str(error), "write https://host/path, and list the host"


def _mail_faults(data: Mapping[str, Any], at: KeyPath, allowed: AllowedHosts) -> Iterator[Fault]:
    try:
        url = mail_url(data["url"])
        allowed.refuse_unlisted(url.hostname or "", url.port or SMTP_PORTS[url.scheme])
        if "password" in data and url.scheme == "smtp" and not data.get("starttls", True):
            message = "the password would be sent without encryption"
            yield (*at, "starttls"), "bad-value", message, "remove `starttls: false`"
    except (ValueError, HeadraceError) as error:
        yield (*at, "url"), "bad-url", str(error), "write smtp://host:587, and list the host"
    for key in ("from", "to"):
        if key not in data:
            message = f"an e-mail needs {key}"
            yield at, "missing-key", message, f"add `{key}:`, as in etl@example.com"
    listed = [((*at, "to", index), text) for index, text in enumerate(data.get("to", ()))]
    for path, text in [((*at, "from"), data.get("from")), *listed]:
        if text is not None and not _is_address(text):
            message = f"{text!r} is not the address of one mailbox"
            yield path, "bad-value", message, "write etl@example.com, or Name <etl@example.com>"
    if ("username" in data) != ("password" in data):
        message = "`username` and `password` belong together"
        yield at, "missing-key", message, "write both, or neither"


def _is_address(text: str) -> bool:
    """Return whether a text is one address: what follows a line break would be another header."""
    if _CONTROL.search(text):
        return False
    # Each command reads the configuration, and few of them name a mailbox.
    from email.headerregistry import HeaderRegistry

    try:
        header: Any = HeaderRegistry()("to", text)
        (address,) = header.addresses
    except Exception:  # noqa: BLE001 - that parser stumbles in many ways over what is none
        return False
    whole = address.username and address.domain and address.addr_spec.isascii()
    return bool(whole) and not header.defects


def _duration_faults(data: Mapping[str, Any], at: KeyPath, key: str) -> Iterator[Fault]:
    least = _SHORTEST_INTERVAL_S if key == "interval" else 0.0
    try:
        seconds = parse_duration_s(data.get(key, "1m"))
    except ValueError as error:
        yield (*at, key), "bad-duration", str(error), "use a shorter one"
        return
    if seconds < least or seconds == 0:
        yield (*at, key), "bad-duration", f'"{key}" is too short', "use 1s or more"
