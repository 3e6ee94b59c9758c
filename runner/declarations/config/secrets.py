"""Finds the secrets in the settings, and the variables from which they come."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from headrace.declarations.config.settings import Settings
from headrace.declarations.source import KeyPath
from headrace.model.notifications import Notifications
from headrace.observe.redaction import REFERENCE

# Keys that hold no secret: what they take from the environment stays as open as it was.
_PLAIN = frozenset(
    """
    home alive_file pipelines host port workers queues default_queue timeout retry pools grace
    max_jobs_per_child jobs_per_commit max_memory_mb retention log_retention log_level log_format
    shell_commands http job_packages output_folders hooks public_url session_lifetime notify
    """.split()
)
# Of a receiver of notifications, by the last part of the key.
_SHOWN_OF_RECEIVERS = frozenset({"type", "from", "username", "interval"})
# What everybody's environment has, and no program goes without.
_COMMON = re.compile(r"HOME|USER|LOGNAME|PATH|LANG|LC_\w+|TZ|HOSTNAME|PWD|SHELL|TMPDIR|TERM")
# User, password, the rest without its query, and the query.
_URL = re.compile(r"[A-Za-z][\w+.-]*://(?:([^:/@?#]*)(?::([^@]*))?@)?([^?]*)(\?.*)?", re.DOTALL)
# `key` is the public half of an access key; `key_filename` a place.
_SECRET_OPTION = re.compile(
    r"password|passphrase|secret|token|connection_string|account_key|pkey", re.I
)
_SECRET_ARGUMENT = re.compile(r"password|passfile|secret|token", re.IGNORECASE)


def withheld_and_secret(
    references: Iterable[tuple[KeyPath, str, str]],
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the variables that jobs may not have, and those of them that hold a secret.

    `references` are the key, the text as it is written there, and a variable that it names. In a
    URL user, host and path are no secret: their variables are withheld, and shown.
    """
    withheld, secret = set(), set()
    for path, text, name in references:
        if path[0] in _PLAIN or "allowed_hosts" in path or _COMMON.fullmatch(name):
            continue
        withheld.add(name)
        # What calls a receiver is in the path of its URL: there the whole text is a secret.
        part = text if path[0] == "notifications" else _secret_part(text)
        if name in set(_named(part)) and path[-1] not in _SHOWN_OF_RECEIVERS:
            secret.add(name)
    return frozenset(withheld), frozenset(secret)


def hidden_values(settings: Settings) -> set[str]:
    """Return what is shown as `***` wherever it turns up."""
    named = [connection.url for connection in settings.connections.values()]
    urls = [settings.database_url, settings.redis_url, *named]
    values = {settings.api_token, *settings.secrets}
    receivers = (settings.opentelemetry or {}, settings.openlineage or {})
    for receiver in receivers:
        values.update(str(value) for value in (receiver.get("headers") or {}).values())
        values.add(receiver.get("api_key"))
    for options in settings.storage.values():
        values.update(_secret_options(options))
    values.update(_of_receivers(settings.notifications))
    for text in [*urls, *settings.secrets]:
        values.update(_passwords(text or ""))
    return {value for value in values if value}


def secret_values(names: Iterable[str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what these variables hold."""
    return tuple(sorted({environ[name] for name in names if environ.get(name)}))


def _of_receivers(notifications: Notifications) -> Iterator[str | None]:
    for receiver in notifications.receivers.values():
        yield from (receiver.secret, receiver.password, *receiver.headers.values())
        if receiver.type != "email":
            yield receiver.url
    if notifications.heartbeat is not None:
        yield notifications.heartbeat.url


def _secret_options(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the options of a store hold under a name that tells of a secret."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secret_options(value)
        elif isinstance(value, str) and _SECRET_OPTION.search(name):
            yield value


def _secret_part(text: str) -> str:
    found = _URL.fullmatch(text)
    return text if found is None else f"{found[2] or ''} {found[4] or ''}"


def _named(text: str) -> Iterator[str]:
    return (match[1] for match in REFERENCE.finditer(text) if match[1])


def _passwords(url: str) -> Iterator[str]:
    """Yield the passwords in a URL as they are written and as they are meant."""
    found = _URL.fullmatch(url)
    if found is None:
        return
    # What stands beside it, as the user's name does, is no secret and has to be read.
    shown = {unquote(found[1] or ""), *re.split(r"[:/,]", found[3])}
    written = [found[2] or ""]
    with suppress(ValueError):
        written.append(urlsplit(url).password or "")
    for password in written:
        if unquote(password) not in shown:
            yield from (password, unquote(password))
    for name, value in parse_qsl((found[4] or "")[1:]):
        if _SECRET_ARGUMENT.search(name):
            yield value
