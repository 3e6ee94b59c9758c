"""Access control: the tokens, and on loopback the user who runs the service.

Root is let in like that user. Everybody else needs a token: one with a role, which
`headrace token create` makes, or the admin's, which `HEADRACE_API_TOKEN` sets or a first start
makes in `HEADRACE_HOME/token`. Where it is set, nobody is let in without: behind a proxy or a
tunnel every request seems to come from here.
"""

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import Scope

from headrace.declarations.config import Settings
from headrace.engine.access.audit import user_name
from headrace.engine.access.page_sessions import Sessions
from headrace.engine.access.tokens import (
    OF_THE_ENVIRONMENT,
    OF_THE_HOME,
    caller_of_token,
)
from headrace.errors import ConfigError
from headrace.model.caller import Caller, Role, Via
from headrace.store.database import Transaction
from headrace.store.embedded.home import SHORTEST_TOKEN, TOKEN_FILE, token_of
from headrace.web.caller import OWNER

COOKIE = "headrace_session"

# What proxies and tunnels add: they speak for strangers.
_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip"})
_FORWARDED_PREFIXES = ("x-forwarded-", "cf-", "x-original-", "x-envoy-", "tailscale-", "ngrok-")


class SessionOver(Exception):
    """The session that a request's cookie stands for has ended, or its token was revoked."""


class Access:
    """Knows who asks.

    Raises:
        ConfigError: The settings open the service to other machines without a token, or the
            token's file cannot be used.
    """

    def __init__(self, settings: Settings, database: Transaction) -> None:
        require_token(settings)
        self._token = settings.api_token or token_of(settings.home)
        self._asks_everybody = bool(settings.api_token)
        actor = OF_THE_ENVIRONMENT if settings.api_token else OF_THE_HOME
        self._fixed = Caller(actor, Role.ADMIN, Via.TOKEN)
        self._database = database
        self.sessions = Sessions(database, fixed=self._fixed, token=self._token)

    def at_once(self, scope: Scope, headers: Headers) -> Caller | None:
        """Return who asks where that needs no database: the admin's token, or our own user."""
        if "authorization" in headers:
            return self._fixed if equal(_bearer(headers), self._token) else None
        return None if _cookie(headers) else self._local(scope, headers)

    def by_database(self, scope: Scope, headers: Headers) -> Caller | None:
        """Return who asks whom `at_once` does not know: by a token with a role, or by a session.

        A token that is sent decides, over loopback, too; so does a session that has been one.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
            SessionOver: The session has ended.
        """
        if "authorization" in headers:
            return caller_of_token(self._database, _bearer(headers))
        cookie = _cookie(headers)
        if cookie is None:
            return None
        was_one, caller = self.sessions.find(cookie)
        if was_one and caller is None:
            raise SessionOver
        # A cookie is sent to every port of a host: an unknown one is another installation's.
        return caller or self._local(scope, headers)

    def caller_of(self, token: str) -> Caller | None:
        """Return whose token it is that somebody signs in with.

        Raises:
            StoreUnavailable: PostgreSQL does not answer.
        """
        return self._fixed if equal(token, self._token) else caller_of_token(self._database, token)

    def _local(self, scope: Scope, headers: Headers) -> Caller | None:
        """Return our own user, who asks from this machine, for nobody else."""
        owner = scope.get("state", {}).get(OWNER)
        if (
            not self._asks_everybody
            and isinstance(owner, int)
            and is_loopback(name_of(only(headers, "host")))
            and not any(
                name in _FORWARDED or name.startswith(_FORWARDED_PREFIXES) for name in headers
            )
        ):
            return Caller(user_name(owner), Role.ADMIN, Via.LOOPBACK)
        return None


def describe_access(settings: Settings) -> str:
    """Return in a sentence who may ask, for whoever starts the service."""
    if settings.api_token:
        return (
            "every request needs the token of HEADRACE_API_TOKEN, or one with a role"
            " (`headrace token create`)"
        )
    return (
        f"you need no token here, other users need the one in {settings.home / TOKEN_FILE},"
        " or one with a role (`headrace token create`);"
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


def _bearer(headers: Headers) -> str:
    """Return the token that is sent, '' if there is none, or more than one."""
    scheme, _, given = only(headers, "authorization").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Headers) -> str | None:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return cookie.value if cookie else None
