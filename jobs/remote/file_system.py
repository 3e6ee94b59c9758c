"""Opens file systems by fsspec, and tells their errors in a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace import jobapi
from headrace.errors import HeadraceError, JobFailure
from headrace.jobs.files.optional_library import library
from headrace.jobs.remote.locations import Location

_LIBRARIES = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs", "sftp": "paramiko"}
_FOREVER_S = 60
_SFTP_PORT = 22


@contextmanager
def file_system(location: Location) -> Iterator[Any]:
    """Give the file system of a location, connected.

    Raises:
        JobFailure: a library is missing, or the server refuses; with the URL and the reason.
    """
    library(_LIBRARIES[location.scheme], f"{location.scheme}://", "remote")
    with told(location.url):
        system = _sftp(location) if location.scheme == "sftp" else _object_store(location)
    try:
        yield system
    finally:
        if location.scheme == "sftp":
            system.client.close()


@contextmanager
def told(url: str) -> Iterator[None]:
    """Turn what a library raises into a job's failure that names the file.

    Raises:
        JobFailure: whatever was raised, without any secret in it.
    """
    try:
        yield
    except HeadraceError:
        raise
    except FileNotFoundError:
        raise JobFailure(f"there is no {url}") from None
    except PermissionError as error:
        raise JobFailure(f"{url}: access is refused: {_words(error)}") from None
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        raise JobFailure(f"{url}: {_words(error)}") from None


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return jobapi.redacted(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _object_store(location: Location) -> Any:
    fsspec = library("fsspec", f"{location.scheme}://", "remote")
    # Listings are asked for anew: a file may have come since the last job.
    return fsspec.filesystem(
        location.scheme, skip_instance_cache=True, use_listings_cache=False, **location.options
    )


def _sftp(location: Location) -> Any:
    """Connect to an SFTP server whose key is known; fsspec by itself would trust any."""
    paramiko = library("paramiko", "sftp://", "remote")
    base = library("fsspec.implementations.sftp", "sftp://", "remote").SFTPFileSystem
    options = dict(location.options)
    known_hosts = options.pop("known_hosts", None)
    host, _, port = location.place.partition(":")

    class KnownHosts(base):  # type: ignore[misc, valid-type]
        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            if known_hosts is None:
                self.client.load_system_host_keys()
            else:
                self.client.load_host_keys(str(Path(known_hosts).expanduser()))
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(_FOREVER_S)

    return KnownHosts(
        host,
        skip_instance_cache=True,
        port=int(port or _SFTP_PORT),
        timeout=_FOREVER_S,
        **options,
    )
