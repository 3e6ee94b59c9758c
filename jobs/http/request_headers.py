"""The headers of a request: which may be written, and what they may hold.

Their names are compared without case, as HTTP does.
"""

import re
from collections.abc import Mapping
from typing import Any

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure

# What says nothing of the sender, and goes along to another host.
_HARMLESS = frozenset({"accept", "accept-language", "user-agent"})
# What the connection says by itself.
_OWN = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_BREAK = re.compile(r"[\r\n\0]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class HeaderRefused(InvalidPayload, JobFailure):
    """A header that cannot be sent, which no further attempt changes.

    Mostly that is known before a run; where its value holds a secret, to the run only.
    """


def refuse_headers(headers: Mapping[str, Any]) -> None:
    """Refuse headers that cannot be sent; values with secrets are known to a run only.

    Raises:
        HeaderRefused: naming the header.
    """
    seen: dict[str, str] = {}
    for name, text in headers.items():
        if not _NAME.fullmatch(name):
            raise HeaderRefused(
                f"the header {name!r} has no name that HTTP takes: letters, digits and hyphens,"
                " without blanks"
            )
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise HeaderRefused(f"the header {name} occurs twice: {other} is the same one")
        if name.lower() in _OWN:
            raise HeaderRefused(f"the header {name} is set by Headrace itself")
        # `validate` knows no value that a run makes: it is no text yet.
        if isinstance(text, str) and not jobapi.names_secret(text):
            _refuse_value(name, text.strip())


def revealed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with their secrets in them.

    Raises:
        HeaderRefused: one of them cannot be sent.
        JobFailure: its variable is not set.
    """
    refuse_headers(headers)
    values = {name: jobapi.reveal(text).strip() for name, text in headers.items()}
    for name, value in values.items():
        _refuse_value(name, value)
    return values


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that another host may see."""
    return {
        name: text.strip()
        for name, text in headers.items()
        if name.lower() in _HARMLESS and not jobapi.names_secret(text)
    }


def with_defaults(headers: Mapping[str, str], defaults: Mapping[str, str]) -> dict[str, str]:
    """Return headers, and those of `defaults` that they do not have under any case."""
    given = {name.lower() for name in headers}
    added = {name: text for name, text in defaults.items() if name.lower() not in given}
    return {**added, **headers}


def _refuse_value(name: str, value: str) -> None:
    """Refuse a value, without telling it: it may be a secret."""
    if not value:
        raise HeaderRefused(f"the header {name} has no value")
    if _LINE_BREAK.search(value):
        raise HeaderRefused(f"the header {name} contains a line break")
    if _CONTROL.search(value):
        raise HeaderRefused(f"the header {name} contains a control character")
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise HeaderRefused(
            f"the header {name} holds a character outside Latin-1 (number {error.start + 1} of its"
            " value), which HTTP does not allow: encode it as the server expects"
        ) from None
