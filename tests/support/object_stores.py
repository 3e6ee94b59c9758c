"""Servers that speak Google's and Azure's storage protocols, each on a free port of 127.0.0.1."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.places import NotInstalled
from tests.support.ports import free_port
from tests.support.processes import deadline

Options = dict[str, Any]
"""What `storage` in config.yaml needs to say of the place."""

# Azurite's own account, which its documentation names.
_AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_START_S = 30.0


@contextmanager
def google_storage(bucket: str) -> Iterator[Options]:
    """Run gcp-storage-emulator with a bucket; GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT must be false.

    By default gcsfs also asks, by gRPC and over TLS only, of which kind a bucket is.
    """
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=bucket)
    server.start()
    try:
        yield {"token": "anon", "project": "test", "endpoint_url": f"http://127.0.0.1:{port}"}
    finally:
        server.stop()


@contextmanager
def azure_storage(container: str, folder: Path) -> Iterator[Options]:
    """Run Azurite (`npm install azurite`) with a container.

    Raises:
        NotInstalled: it is not on the PATH.
    """
    program = shutil.which("azurite-blob")
    if program is None:
        raise NotInstalled("azurite-blob is not on the PATH: npm install -g azurite")
    port = free_port()
    command = [program, "--blobPort", str(port), "--inMemoryPersistence", "--skipApiVersionCheck"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}/devstoreaccount1"
    options = {
        "connection_string": "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
        f"AccountKey={_AZURE_KEY};BlobEndpoint={address};"
    }
    try:
        _make_container(options, container)
        yield options
    finally:
        process.terminate()
        process.wait()


def _make_container(options: Options, container: str) -> None:
    from azure.core.exceptions import AzureError
    from azure.storage.blob import BlobServiceClient

    give_up = deadline(_START_S)
    client = BlobServiceClient.from_connection_string(options["connection_string"], retry_total=0)
    while True:
        try:
            client.create_container(container)
        except AzureError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return
