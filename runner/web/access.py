"""Access control: the token, and on loopback the user who runs the service.

Root is let in like that user. Everybody else needs the token, which `HEADRACE_API_TOKEN` sets or
a first start makes in `HEADRACE_HOME/token`. Where it is set, nobody is let in without: behind a
proxy or a tunnel every request seems to come from here.
"""

import hmac
import ipaddress
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import Scope

from headrace.declarations.config import Settings
from headrace.errors import ConfigError
from headrace.store.embedded.home import SHORTEST_TOKEN, TOKEN_FILE, token_of
from headrace.web.caller import OURS

COOKIE = "headrace_session"

# What proxies and tunnels add: they speak for strangers.
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip"})
_FORWARDED_PREFIXES = ("x-forwarded-", "cf-", "x-original-", "x-envoy-", "tailscale-", "ngrok-")


class Access:
    """Knows the token, and who needs none.

    Raises:
        ConfigError: The settings open the service to other machines without a token, or the
            token's file cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        require_token(settings)
        self.token = settings.api_token or token_of(settings.home)
        self._asks_everybody = bool(settings.api_token)

    def allows(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a request may go on. A token that is sent decides, over loopback, too."""
        if "authorization" in headers:
            return self._is_sent(headers)
        return self._has_session(headers) or self._is_local(scope, headers)

    def _is_sent(self, headers: Headers) -> bool:
        scheme, _, given = only(headers, "authorization").partition(" ")
        return scheme.lower() == "bearer" and equal(given.strip(), self.token)

    def _has_session(self, headers: Headers) -> bool:
        """Return whether the request carries the cookie that stands for the token."""
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and equal(cookie.value, session_value(self.token))

    def _is_local(self, scope: Scope, headers: Headers) -> bool:
        """Return whether our own user asks, from this machine, for nobody else."""
        return (
            not self._asks_everybody
            and scope.get("state", {}).get(OURS) is True
            and is_loopback(name_of(only(headers, "host")))
            and not any(
                name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES) for name in headers
            )
        )


def describe_access(settings: Settings) -> str:
    """Return in a sentence who may ask, for whoever starts the service."""
    if settings.api_token:
        return "every request needs the token of HEADRACE_API_TOKEN"
    return (
        f"you need no token here, other users need the one in {settings.home / TOKEN_FILE};"
        " behind a proxy, a tunnel or port forwarding set HEADRACE_API_TOKEN"
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address that is bound as `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def require_token(settings: Settings) -> None:
    """Refuse settings that open the service to other machines without a token worth the name.

    Raises:
        ConfigError: They do.
    """
    if is_loopback(settings.host):
        return
    where = f"HEADRACE_HOST is {settings.host or 'empty'}, which other machines can reach"
    if not settings.api_token:
        raise ConfigError(f"{where}: set HEADRACE_API_TOKEN as well, or use 127.0.0.1")
    if len(settings.api_token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{where}, and a token of fewer than {SHORTEST_TOKEN} characters can be guessed:"
            " set HEADRACE_API_TOKEN to a longer one, as `openssl rand -hex 24` prints it"
        )


def session_value(token: str) -> str:
    """Return what a signed-in browser's cookie holds: proof of the token, not the token."""
    return hmac.new(token.encode(), b"headrace web session", sha256).hexdigest()


def name_of(host: str) -> str:
    """Return a Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    if colon and (port.isdigit() or not port) and (":" not in name or name.endswith("]")):
        return name.lower()
    return host.lower()


def only(headers: Headers, name: str) -> str:
    """Return a header's value, '' unless it was sent exactly once."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else ""


def equal(given: str, known: str) -> bool:
    """Compare in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())
