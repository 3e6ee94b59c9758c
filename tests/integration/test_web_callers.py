"""Over loopback: the user who started the service, and root, without a token; nobody else."""

import http.client
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from headrace.engine.application import Headrace
from headrace.errors import ConfigError
from headrace.store.embedded.home import token_of
from headrace.web.access import describe_access
from headrace.web.app import create_app
from tests.support.ports import free_port
from tests.support.processes import deadline
from tests.support.web import client_of, installation, served

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or sys.platform != "linux", reason="needs root to become another user"
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/net/tcp")
STRANGER = 65533
JOB = b'{"job": "Fibonacci", "with": {"n": 3}}'


@contextmanager
def service(
    database: str, redis_url: str, folder: Path, **settings: object
) -> Iterator[tuple[str, Headrace]]:
    with (
        installation(database, redis_url, folder, **settings) as found,
        served(found) as (address, _),
    ):
        yield address, found


@pytest.fixture
def address(database: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    with service(database, redis_url, tmp_path) as (found, _):
        yield found


def ask_as(uid: int, address: str, *words: str) -> int:
    """Return the status that another local user's curl gets."""
    command = [
        "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
        "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *words, address,
    ]  # fmt: skip
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@on_linux
def test_the_user_who_started_it_needs_no_token(address: str):
    assert httpx.get(f"{address}/jobs").status_code == 200
    assert httpx.post(f"{address}/create-jobs/").status_code == 201
    assert httpx.get(f"{address}/", headers={"Accept": "text/html"}).status_code == 200
    assert "workers" in httpx.get(f"{address}/health/ready").json()


@as_root
def test_another_local_user_gets_nothing_but_the_probes_without_the_token(
    address: str, tmp_path: Path
):
    token = token_of(tmp_path / "home")
    post = ("-X", "POST", "-H", "Content-Type: application/json", "-d", JOB.decode())

    for path in ("/", "/jobs", "/metrics", "/openapi.json", "/docs", "/static/page.js", "/x"):
        assert ask_as(STRANGER, f"{address}{path}") == 401
    assert ask_as(STRANGER, f"{address}/jobs", *post) == 401
    assert ask_as(STRANGER, f"{address}/create-jobs/", "-X", "POST") == 401
    for path in ("/health/live", "/health/ready", "/sign-in"):
        assert ask_as(STRANGER, f"{address}{path}") == 200
    sent = ("-H", f"Authorization: Bearer {token}")
    assert ask_as(STRANGER, f"{address}/jobs", *sent, *post) == 201
    assert ask_as(STRANGER, f"{address}/jobs", "-H", "Authorization: Bearer x") == 401
    assert httpx.get(f"{address}/jobs").json()["items"].__len__() == 1


@as_root
def test_another_user_cannot_read_the_token_and_the_owner_can(address: str, tmp_path: Path):
    file = tmp_path / "home" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    read = subprocess.run(
        ["setpriv", f"--reuid={STRANGER}", "--clear-groups", "cat", str(file)],
        capture_output=True, check=False,
    )  # fmt: skip
    assert read.returncode != 0


@as_root
def test_whoever_sends_and_closes_before_the_server_looks_is_nobody(
    database: str, redis_url: str, tmp_path: Path
):
    """A closed socket is listed as root's: the server must not take its sender for root."""
    environ = {**os.environ, "DATABASE_URL": database, "REDIS_URL": redis_url}
    environ["HEADRACE_PORT"] = str(free_port())
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    web = subprocess.Popen(
        [sys.executable, "-m", "headrace", "web"], cwd=tmp_path, env=environ,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = "127.0.0.1", int(environ["HEADRACE_PORT"])
    try:
        wait_until_up(address)
        for ending in ("close", "half", "reset"):
            web.send_signal(signal.SIGSTOP)
            send_as_stranger(address, ending)
            web.send_signal(signal.SIGCONT)
            time.sleep(0.3)  # Nothing shows that a request was refused to nobody.
            listed = httpx.get(f"http://{address[0]}:{address[1]}/jobs").json()["items"]
            assert listed == []
    finally:
        web.kill()
        web.wait()


def send_as_stranger(address: tuple[str, int], ending: str) -> None:
    """Send a whole request as another user and end the connection, before it is accepted."""
    child = os.fork()
    if child == 0:
        os.setgid(STRANGER)
        os.setuid(STRANGER)
        connection = socket.create_connection(address)
        head = (
            f"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(JOB)}\r\n\r\n"
        )
        connection.sendall(head.encode() + JOB)
        if ending == "reset":
            linger = b"\x01\0\0\0\0\0\0\0"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif ending == "half":
            connection.shutdown(socket.SHUT_WR)
        connection.close()
        os._exit(0)
    os.waitpid(child, 0)


def wait_until_up(address: tuple[str, int]) -> None:
    give_up = deadline(30)
    while True:
        try:
            connection = http.client.HTTPConnection(*address, timeout=2)
            connection.request("GET", "/health/live")
            if connection.getresponse().status == 200:
                return
        except OSError:
            assert time.monotonic() < give_up
            time.sleep(0.05)


@on_linux
def test_what_a_proxy_passes_on_is_a_stranger_s(address: str):
    for header in ("Forwarded", "Via", "X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP"):
        for value in ("127.0.0.1", ""):
            assert httpx.get(f"{address}/jobs", headers={header: value}).status_code == 401


@on_linux
def test_a_host_that_is_no_loopback_name_is_refused(address: str):
    for host in ("headrace.example", "abc.trycloudflare.com", "10.0.0.1", ""):
        assert httpx.get(f"{address}/jobs", headers={"Host": host}).status_code == 403


@on_linux
def test_with_a_token_of_one_s_own_everybody_sends_it(
    database: str, redis_url: str, tmp_path: Path
):
    with service(database, redis_url, tmp_path, api_token="long-enough") as (address, _):
        assert httpx.get(f"{address}/jobs").status_code == 401
        sent = {"Authorization": "Bearer long-enough"}
        assert httpx.get(f"{address}/jobs", headers=sent).status_code == 200
        # A proxy passes on the name that it is known by.
        named = {**sent, "Host": "headrace.example", "X-Forwarded-For": "192.0.2.1"}
        assert httpx.get(f"{address}/jobs", headers=named).status_code == 200
    assert not (tmp_path / "home" / "token").exists()


@on_linux
def test_a_token_that_is_sent_decides_for_the_own_user_too(address: str):
    assert httpx.get(f"{address}/jobs", headers={"Authorization": "Bearer no"}).status_code == 401


@on_linux
@pytest.mark.parametrize("host", ["::1", "127.9.9.9", "localhost"])
def test_every_loopback_address_knows_its_user(
    database: str, redis_url: str, tmp_path: Path, host: str
):
    with installation(database, redis_url, tmp_path, host=host) as found, served(found) as (at, _):
        name = f"[{host}]" if ":" in host else host
        port = at.rpartition(":")[2]
        assert httpx.get(f"http://{name}:{port}/jobs").status_code == 200
        if os.geteuid() == 0:
            assert ask_as(STRANGER, f"http://{name}:{port}/jobs", "-g") == 401


def test_where_callers_cannot_be_known_the_token_is_asked_for(
    database: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("headrace.web.caller._TABLES", (tmp_path / "none",))
    with service(database, redis_url, tmp_path) as (address, found):
        assert httpx.get(f"{address}/jobs").status_code == 401
        sent = {"Authorization": f"Bearer {token_of(found.settings.home)}"}
        assert httpx.get(f"{address}/jobs", headers=sent).status_code == 200


def test_the_start_tells_who_may_ask_and_what_a_proxy_needs(
    database: str, redis_url: str, tmp_path: Path
):
    with installation(database, redis_url, tmp_path) as found:
        told = describe_access(found.settings)
    assert str(tmp_path / "home" / "token") in told
    assert "behind a proxy, a tunnel or port forwarding set HEADRACE_API_TOKEN" in told


def test_a_browser_signs_in_with_the_token_of_the_home(
    database: str, redis_url: str, tmp_path: Path
):
    with (
        installation(database, redis_url, tmp_path) as found,
        client_of(found, known=False) as client,
    ):
        assert client.get("/jobs").status_code == 401
        client.post("/sign-in", data={"token": token_of(found.settings.home)})
        assert client.get("/jobs").status_code == 200


@as_root
def test_a_token_file_of_somebody_else_or_open_to_others_is_refused(
    database: str, redis_url: str, tmp_path: Path
):
    home = tmp_path / "home"
    home.mkdir()
    file = home / "token"
    with installation(database, redis_url, tmp_path) as found:
        file.write_text("known-to-the-attacker\n")
        file.chmod(0o644)
        with pytest.raises(ConfigError, match="other users can read it"):
            create_app(found)
        file.chmod(0o600)
        os.chown(file, STRANGER, STRANGER)
        with pytest.raises(ConfigError, match="does not belong to Headrace"):
            create_app(found)
        file.unlink()
        file.symlink_to("/etc/hostname")
        with pytest.raises(ConfigError, match="cannot be used"):
            create_app(found)


def test_processes_that_start_at_once_agree_on_one_token(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from headrace.store.embedded.home import token_of;"
    )
    code += "print(token_of(Path(sys.argv[1])))"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "home")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]

    assert len({process.communicate()[0] for process in started}) == 1
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["token"]
