"""Downloads a file before it is read: no transaction is open while a server takes its time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, cast

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobapi.outbound.urls import without_query
from headrace.jobs.http.request import Request, fetch, refuse_request

_MOST_BYTES = 1 << 40


def is_url(path: str) -> bool:
    """Return whether a path names a file on a web server."""
    return path.lower().startswith(("http://", "https://"))


def refuse_url(url: str) -> None:
    """Refuse a host that jobs may not connect to.

    Raises:
        HostRefused, JobFailure: it is not listed, or the URL cannot be sent.
    """
    refuse_request(Request(url), _allowed())


@contextmanager
def downloaded(url: str) -> Iterator[tuple[str, Path]]:
    """Give the name of a file on a web server, and where it lies until the block ends.

    Only all of it counts, as in HttpExtract; `${NAME}` in the URL is a variable of the worker.

    Raises:
        HostRefused, JobFailure: the host is not allowed, or the file did not come whole.
    """
    name = without_query(url)
    with NamedTemporaryFile(prefix="headrace-") as file:
        answer = fetch(
            Request(jobapi.reveal(url)),
            cast("IO[bytes]", file),
            allowed=_allowed(),
            most_bytes=_MOST_BYTES,
            # The content tells how it is packed, whatever the way has packed.
            keep_gzip=True,
        )
        file.flush()
        if answer.ends_by_closing:
            raise JobFailure(
                f"{name}: nothing shows whether the file has come whole: the answer has neither a "
                "Content-Length nor chunks"
            )
        if not answer.size_bytes:
            raise JobFailure(f"{name}: the server has answered with nothing")
        yield name, Path(file.name)


def _allowed() -> AllowedHosts:
    return AllowedHosts(jobapi.current().permissions.allowed_hosts)
