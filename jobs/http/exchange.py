"""Sends a job's requests: not faster than they may be, and again when the server says so."""

import re
import time
from dataclasses import dataclass, replace
from typing import IO, Any, Self

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobapi import logger
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobapi.outbound.urls import checked, origin
from headrace.jobs.http.client_credentials import ClientCredentials
from headrace.jobs.http.request import Answer, NoData, Request, fetch
from headrace.jobs.http.request_headers import harmless

_RATE = re.compile(r"(\d{1,6})/([smh])", re.ASCII)
_DURATION = re.compile(r"(\d{1,6})([smh])", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_LATER = (429, 503)
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Pace:
    """The least time between two requests, and the longest that may be waited in all."""

    interval_s: float = 0.0
    max_wait_s: float = 300.0

    @classmethod
    def read(cls, rate_limit: str | None, max_wait: str) -> Self:
        """Read `rate_limit`, as in 10/s, and `max_wait`, as in 5m.

        Raises:
            InvalidPayload: one of them is anything else.
        """
        wait = _DURATION.fullmatch(max_wait)
        if wait is None:
            raise InvalidPayload(f"max_wait is a duration, as in 5m, not {max_wait!r}")
        found = None if rate_limit is None else _RATE.fullmatch(rate_limit)
        if rate_limit is not None and (found is None or int(found[1]) == 0):
            raise InvalidPayload(
                f"rate_limit is a number of requests, as in 10/s, 100/m or 1000/h, not "
                f"{rate_limit!r}"
            )
        interval = _SECONDS[found[2]] / int(found[1]) if found else 0.0
        return cls(interval, int(wait[1]) * _SECONDS[wait[2]])


class Exchange:
    """The requests of one attempt to one server."""

    def __init__(self, pace: Pace, credentials: ClientCredentials | None) -> None:
        self._pace, self._credentials = pace, credentials
        self._allowed = AllowedHosts(jobapi.current().permissions.allowed_hosts)
        self._next = 0.0
        self._waited = 0.0
        self._origin: Any = None

    def fetch(self, request: Request, into: IO[bytes], **limits: Any) -> Answer:
        """Send a request and write its answer into a file; see `fetch` of `request`.

        To another host than the first one's goes nothing that is meant for that one.

        Raises:
            JobFailure: as there; or the server asks to wait longer than may be.
        """
        renewed = False
        first = self._origin = self._origin or origin(checked(request.url))
        while True:
            time.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._pace.interval_s
            same = origin(checked(request.url)) == first
            try:
                sent = self._signed(request) if same else _harmless(request)
                return fetch(sent, into, allowed=self._allowed, **limits)
            except NoData as error:
                if error.status == _UNAUTHORIZED and self._credentials and same and not renewed:
                    self._credentials.forget()
                    renewed = True
                elif error.status in _LATER and error.retry_after is not None:
                    self._wait(error, error.retry_after)
                else:
                    raise

    def _signed(self, request: Request) -> Request:
        if self._credentials is None:
            return request
        token = self._credentials.token(self._allowed)
        return replace(request, headers={**request.headers, "Authorization": token})

    def _wait(self, error: NoData, retry_after: str) -> None:
        # Imported here: it brings urllib3, which other jobs do not need.
        from urllib3.exceptions import InvalidHeader
        from urllib3.util import Retry

        try:
            wanted = max(1.0, Retry(0).parse_retry_after(retry_after))
        except (InvalidHeader, ValueError, OverflowError):  # No time, or one of no calendar.
            raise error from None
        left = self._pace.max_wait_s - self._waited
        if wanted > left:
            raise NoData(
                f"{error} (it asks to wait {wanted:.0f} s, and {left:.0f} s are left of max_wait)",
                error.status,
                retry_after,
            )
        logger.warning("The server answered %d: waiting %.0f s, as it asks", error.status, wanted)
        self._waited += wanted
        time.sleep(wanted)


def _harmless(request: Request) -> Request:
    return replace(request, headers=harmless(request.headers))
