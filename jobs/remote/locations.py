"""Reads the URLs of files on object stores and SFTP servers, and what the settings say of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from headrace import jobapi
from headrace.errors import InvalidPayload

SCHEMES = ("s3", "gs", "az", "sftp")


class StorageRefused(InvalidPayload):
    """A place that the settings do not allow. No further attempt is made."""


@dataclass(frozen=True, slots=True)
class Location:
    """A file, folder or pattern there: `place` is bucket or host, `path` what fsspec calls it.

    `options` are what the settings give to fsspec: credentials, endpoints.
    """

    url: str
    scheme: str
    place: str
    path: str
    options: Mapping[str, Any]


def is_remote(path: str) -> bool:
    """Return whether a path names a file on an object store or SFTP server."""
    return path.partition("://")[0].lower() in SCHEMES and "://" in path


def location_of(url: str) -> Location:
    """Return where a URL leads.

    Raises:
        StorageRefused: `storage` in the settings does not list the place.
        InvalidPayload: the URL has a password, or no place.
    """
    parts = urlsplit(url)
    scheme, place = parts.scheme.lower(), parts.netloc.rpartition("@")[2]
    if parts.username or parts.password:
        raise InvalidPayload(
            f"{scheme}://…@{place}: leave user and password out of the path; `storage` in "
            "config.yaml has them"
        )
    if not place or not parts.path.strip("/"):
        raise InvalidPayload(f"{url}: write {scheme}://bucket-or-host/path")
    # What urlsplit takes for a query or fragment is a part of a name here.
    rest = url.partition("://")[2].partition("/")[2]
    if any(part in (".", "..") for part in rest.split("/")):
        raise InvalidPayload(f"{url}: `.` and `..` are not followed")
    options = _options(scheme, place)
    path = f"/{rest}" if scheme == "sftp" else f"{place}/{rest}"
    return Location(url, scheme, place, path, options)


def _options(scheme: str, place: str) -> Mapping[str, Any]:
    storage = jobapi.current().permissions.storage
    wanted = f"{scheme}://{place}"
    for name, options in storage.items():
        if name.lower().rstrip("/") == wanted.lower():
            return options
    listed = ", ".join(storage) or "nothing"
    raise StorageRefused(
        f"{wanted} is not listed under `storage` in config.yaml, so jobs cannot reach it; it lists "
        f"{listed}. An empty entry, `{wanted}: {{}}`, takes the credentials of the worker's "
        "environment"
    )
