"""An S3 server and an SFTP server for tests, each on a free port of 127.0.0.1."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY, SECRET, PASSWORD = "test-key", "test-secret-not-to-be-seen", "sftp-not-to-be-seen"


@dataclass(frozen=True, slots=True)
class S3:
    """A running server, and a client of it."""

    url: str
    client: Any

    def options(self) -> dict[str, Any]:
        """Return what `storage` in config.yaml needs to say."""
        return {"key": KEY, "secret": SECRET, "endpoint_url": self.url}

    def put(self, bucket: str, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=bucket, Key=name, Body=content)

    def content(self, bucket: str, name: str) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=name)["Body"].read())

    def names(self, bucket: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(one["Key"] for one in found)


@contextmanager
def s3_server(*buckets: str) -> Iterator[S3]:
    """Run moto's S3 with these buckets."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )
    try:
        for bucket in buckets:
            client.create_bucket(Bucket=bucket)
        yield S3(url, client)
    finally:
        server.stop()


@dataclass(frozen=True, slots=True)
class Sftp:
    """A running server; `folder` is its root, `known_hosts` a file with its key."""

    port: int
    folder: Path
    known_hosts: Path

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self.port}"

    def options(self) -> dict[str, Any]:
        """Return what `storage` in config.yaml needs to say."""
        return {"username": "etl", "password": PASSWORD, "known_hosts": str(self.known_hosts)}


@contextmanager
def sftp_server(folder: Path) -> Iterator[Sftp]:
    """Run an SFTP server whose root is a folder beside its key."""
    import asyncssh

    root = folder / "sftp-root"
    root.mkdir()
    key = asyncssh.generate_private_key("ssh-ed25519")

    class Login(asyncssh.SSHServer):
        def begin_auth(self, _username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("etl", PASSWORD)

    class Rooted(asyncssh.SFTPServer):
        def __init__(self, channel: Any) -> None:
            super().__init__(channel, chroot=str(root).encode())

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="sftp-server", daemon=True)
    thread.start()

    async def listen() -> Any:
        return await asyncssh.listen(
            "127.0.0.1", 0, server_factory=Login, server_host_keys=[key], sftp_factory=Rooted
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    port = server.sockets[0].getsockname()[1]
    known_hosts = folder / "known_hosts"
    public = key.export_public_key().decode().strip()
    known_hosts.write_text(f"[127.0.0.1]:{port} {public}\n")
    try:
        yield Sftp(port, root, known_hosts)
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(server.wait_closed(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
