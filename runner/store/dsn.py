"""A database URL as libpq's parameters, and what is wrong with it in a sentence.

The URL is read as libpq reads it, so that psql and Headrace reach the same server. No message
repeats a piece of it that may belong to a password.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import psycopg2
from psycopg2.extensions import make_dsn

from headrace.errors import ConfigError

_SCHEME = re.compile(r"([a-z][a-z0-9.-]*)(?:\+[a-z0-9_]+)?://", re.IGNORECASE)
_CREDENTIALS = re.compile(r"([^@/]*)@")
_PORT = re.compile(r"[0-9]{1,5}")
# Without brackets, as libpq takes it behind the question mark: no port follows.
_IPV6 = re.compile(r"[0-9a-f]*:[0-9a-f]*:[^],]*", re.IGNORECASE)
_HIGHEST_PORT = 65535
_NAME = re.compile(r"[a-z_]{1,40}")
# `-c name=value` and `--name=value`, as the server reads its command line.
_SETTING = re.compile(r"(?:^|\s)(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:\\.|[^\s\\])*)")
_ESCAPED = re.compile(r"\\(.)")

_EXAMPLE = "write postgresql://user:password@host:5432/database"
_ESCAPES = "in a user's name or a password write %40 for @, %2F for /, %3A for : and %25 for %"


def parameters(database_url: str) -> dict[str, str]:
    """Return what libpq is to be given for a URL.

    Raises:
        ConfigError: It is no URL of a PostgreSQL database.
    """
    scheme = _SCHEME.match(database_url)
    if scheme is None:
        raise ConfigError(f"the database URL cannot be read; {_EXAMPLE}")
    if scheme[1].lower() not in ("postgresql", "postgres"):
        raise ConfigError(
            f'the database URL names "{scheme[1]}"; Headrace needs PostgreSQL: {_EXAMPLE}'
        )
    rest = database_url[scheme.end() :]
    credentials = _CREDENTIALS.match(rest)
    address, _, query = rest[credentials.end() if credentials else 0 :].partition("?")
    if "@" in address:
        raise ConfigError(f"the database URL has more than one @, or a / before it; {_ESCAPES}")
    hosts, _, name = address.partition("/")
    found = {**_user(credentials[1] if credentials else ""), **_hosts(hosts)}
    if name:
        found["dbname"] = unquote(name)
    found |= _arguments(query)
    _check(found)
    return found


def options_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return the server's settings that libpq's `options` make, by their names in small letters."""
    options = str(arguments.get("options") or os.environ.get("PGOPTIONS", ""))
    return {
        name.lower().replace("-", "_"): _ESCAPED.sub(r"\1", value)
        for name, value in _SETTING.findall(options)
    }


def _user(credentials: str) -> dict[str, str]:
    user, colon, password = credentials.partition(":")
    found = {"user": unquote(user)} if user else {}
    return {**found, "password": unquote(password)} if colon and password else found


def _hosts(listed: str) -> dict[str, str]:
    """Return `host` and `port` of one address or of several with commas between."""
    if not listed:
        return {}
    pairs = [_host(one) for one in listed.split(",")]
    found = {"host": ",".join(host for host, _ in pairs)}
    if any(port for _, port in pairs):
        found["port"] = ",".join(port for _, port in pairs)
    return found


def _host(address: str) -> tuple[str, str]:
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    if port and not (_PORT.fullmatch(port) and 0 < int(port) <= _HIGHEST_PORT):
        raise ConfigError(
            f"the port in the database URL is not a number from 1 to {_HIGHEST_PORT}; {_EXAMPLE}."
            f" If it is a piece of a password: {_ESCAPES}"
        )
    return unquote(host), port


def _arguments(query: str) -> dict[str, str]:
    """Return what stands behind the question mark; several hosts may be named one by one."""
    found: dict[str, str] = {}
    hosts = []
    for name, value in _pairs(query):
        if name == "host":
            hosts.append(value)
        elif name == "ssl" and value == "true":
            found["sslmode"] = "require"
        else:
            found[name] = value
    plain = len(hosts) == 1 and not re.search(r":[0-9]+$", hosts[0])
    if plain or (len(hosts) == 1 and _IPV6.fullmatch(hosts[0])):
        return {**found, "host": hosts[0]}
    return {**found, **_hosts(",".join(hosts))}


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(
                "a parameter behind the ? of the database URL has no value; write name=value"
                " with & between, and %26 for an & inside a value"
            )
        yield unquote(name), unquote(value)


def _check(found: Mapping[str, str]) -> None:
    """Refuse parameters that libpq does not have: one at a time, so that the fault is known."""
    for name in found:
        try:
            make_dsn(**{name: "1"})
        except psycopg2.ProgrammingError:
            # What is no plain word, or follows a password with an &, may be a piece of one.
            plain = _NAME.fullmatch(name) and "password" not in found
            shown = f'the parameter "{name}"' if plain else "a parameter"
            raise ConfigError(
                f"{shown} of the database URL is none of libpq's; server settings go into"
                " options=-c%20name%3Dvalue"
            ) from None


def place_of(database_url: str) -> tuple[str, str, str]:
    """Return host, port and database of a URL, as they are written."""
    found = parameters(database_url)
    host = found.get("host", "")
    return host, found.get("port") or "5432", found.get("dbname") or found.get("user", "")
