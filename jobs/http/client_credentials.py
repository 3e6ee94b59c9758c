"""Gets access tokens by OAuth 2 client credentials (RFC 6749, section 4.4)."""

import io
import re
import time
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote_plus, urlencode

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobapi.outbound.urls import without_query
from headrace.jobs.http.request import NoData, Request, fetch, refuse_request
from headrace.model import exact_json

AuthGiven = dict[str, Any]
_KIND = "oauth2_client_credentials"
_REFERENCE = re.compile(r"\$\{[A-Za-z_]\w*\}")
_NEEDED = ("access_token_url", "client_id", "client_secret")
_MORE = ("scope", "access_token_request_data", "send_credentials")
_MOST_BYTES = 1 << 20
# RFC 6750; and a server's word is never taken for a reference to a variable of the worker.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# A token is not used so shortly before its end: the request has to arrive, too.
_SPARE_S = 30.0


@dataclass(slots=True)
class ClientCredentials:
    """How tokens are got. The secret is a reference, `${NAME}`, until it is sent."""

    url: str
    client_id: str
    secret: str
    data: dict[str, str]
    in_body: bool
    _token: str = ""
    _ends: float = field(default=0.0)

    @classmethod
    def read(cls, given: AuthGiven | None) -> Self | None:
        """Read the parameter `auth`.

        Raises:
            InvalidPayload: saying what is wrong with it.
        """
        if given is None:
            return None
        if given.get("type") != _KIND:
            raise InvalidPayload(f"auth.type is {_KIND}, not {given.get('type')!r}")
        for name in _NEEDED:
            if not isinstance(given.get(name), str):
                raise InvalidPayload(f"auth needs {name}, a text")
        unknown = sorted(given.keys() - {"type", *_NEEDED, *_MORE})
        if unknown:
            takes = ", ".join((*_NEEDED, *_MORE))
            raise InvalidPayload(f"auth has no key {unknown[0]!r}; it takes {takes}")
        if not _REFERENCE.fullmatch(given["client_secret"]):
            raise InvalidPayload(
                "auth.client_secret is a secret: name a variable of the worker, as in "
                "${API_SECRET}, and nothing else"
            )
        place = given.get("send_credentials", "header")
        if place not in ("header", "body"):
            raise InvalidPayload("auth.send_credentials is header or body")
        data = {"grant_type": "client_credentials"}
        if given.get("scope") is not None:
            data["scope"] = str(given["scope"])
        more = given.get("access_token_request_data") or {}
        if not isinstance(more, dict):
            raise InvalidPayload("auth.access_token_request_data is a mapping")
        data |= {str(name): str(value) for name, value in more.items()}
        url, client = given["access_token_url"], given["client_id"]
        return cls(url, client, given["client_secret"], data, place == "body")

    def refuse(self, allowed: AllowedHosts) -> None:
        """Refuse a token's address that may not be spoken to.

        Raises:
            HostRefused, JobFailure: as `refuse_request`.
        """
        refuse_request(Request(self.url, "POST"), allowed)

    def token(self, allowed: AllowedHosts) -> str:
        """Return the value of the header Authorization, with a token that is still valid.

        Raises:
            JobFailure: the server gives none.
        """
        if not self._token or time.monotonic() >= self._ends:
            self._renew(allowed)
        return f"Bearer {self._token}"

    def forget(self) -> None:
        """Get another token for the next request."""
        self._token = ""

    def _renew(self, allowed: AllowedHosts) -> None:
        client, secret = jobapi.reveal(self.client_id), jobapi.reveal(self.secret)
        data = {name: jobapi.reveal(value) for name, value in self.data.items()}
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        if self.in_body:
            data |= {"client_id": client, "client_secret": secret}
        else:
            pair = b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()
            jobapi.hide(pair)
            headers["Authorization"] = f"Basic {pair}"
        body = io.BytesIO()
        url = jobapi.reveal(self.url)
        request = Request(url, "POST", headers, urlencode(data).encode())
        try:
            fetch(request, body, allowed=allowed, most_bytes=_MOST_BYTES)
        except NoData as error:
            raise JobFailure(f"no access token: {error}") from None
        self._take(body.getvalue())

    def _take(self, body: bytes) -> None:
        place = without_query(self.url)
        try:
            said = exact_json.loads(body.decode())
            token, seconds = said["access_token"], float(said.get("expires_in", 3600))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            raise JobFailure(f"no access token: {place} answered without one") from None
        kind = str(said.get("token_type", "bearer"))
        if kind.lower() != "bearer":
            raise JobFailure(f"no access token: {place} gives one of the type {kind!r}, not Bearer")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise JobFailure(f"no access token: what {place} gives is none that a header takes")
        jobapi.hide(token)
        self._token = token
        self._ends = time.monotonic() + max(0.0, seconds - _SPARE_S)
