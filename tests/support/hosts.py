"""Several hosts on one machine: network namespaces on a bridge, and what can happen to their wires.

Each host has a network and a host name of its own. The servers' host also holds the bridge; their
Unix sockets lie in the file system, so that a test looks at them whatever is cut.
"""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import redis

from headrace.store.embedded import Servers
from headrace.store.embedded.place import place_of
from headrace.store.embedded.postgres import programs
from headrace.store.migrations import upgrade
from tests.support.cluster import Cluster, cluster_on
from tests.support.places import PASSWORD, Server, second_server
from tests.support.processes import Process, deadline
from tests.support.redis_server import program as redis_program

_NETWORK = "10.77.0."
_SERVERS = f"{_NETWORK}1"
_REDIS_PORT = 6379
_TOOLS = ("ip", "tc", "iptables", "nsenter")


class NoNetworks(Exception):
    """Network namespaces cannot be made here; the message says why."""


@dataclass
class Host:
    """One host: a namespace, an address, and what was started on it."""

    name: str
    namespace: str
    address: str
    processes: list[Process] = field(default_factory=list)

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` on this host."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *command]

    def administer(self, *command: str) -> None:
        """Run a command of the host's administrator to its end."""
        _administer(*self.inside(command))

    def signal(self, number: int) -> None:
        """Send a signal to everything that runs here."""
        for process in self.processes:
            if process.popen.poll() is None:
                for pid in (*process.children(), process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def power_off(self) -> None:
        """End everything at once; nobody is told, since the wire is dead before."""
        with self.filtered("INPUT -j DROP", "OUTPUT -j DROP"):
            self.signal(signal.SIGKILL)
            for process in self.processes:
                process.popen.wait()
            # The kernel gives the sockets up only after it has tried to say so.
            time.sleep(0.2)

    @contextmanager
    def filtered(self, *rules: str) -> Iterator[None]:
        """Have the host's packets filtered by these rules of iptables."""
        for rule in rules:
            self.administer("iptables", "-A", *rule.split())
        try:
            yield
        finally:
            self.administer("iptables", "-F")

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Have the wire delay each packet; where the kernel cannot, give it little room."""
        try:
            self.administer(*"tc qdisc add dev eth0 root netem delay 200ms 100ms".split())
        except NoNetworks:
            narrow = "tc qdisc add dev eth0 root tbf rate 256kbit burst 4kb latency 400ms"
            self.administer(*narrow.split())
        try:
            yield
        finally:
            self.administer(*"tc qdisc del dev eth0 root".split())

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Have the wire out of its socket."""
        self.administer(*"ip link set eth0 down".split())
        try:
            yield
        finally:
            self.administer(*"ip link set eth0 up".split())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have every process stand still."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)


@dataclass
class Site:
    """Two hosts that work and one with the servers."""

    hosts: tuple[Host, Host]
    cluster: Cluster
    environ: Mapping[str, str]

    def start(self, host: Host, role: str, processes: int = 1) -> Process:
        """Start a daemon or worker on a host."""
        env = {**self.environ, "TEST_HOST": f"{host.name}@{host.namespace}"}
        cluster = self.cluster
        process = (
            cluster.daemon(env=env) if role == "daemon" else cluster.worker(processes, env=env)
        )
        host.processes.append(process)
        return process

    def leading(self) -> Host | None:
        """Return the host whose daemon leads."""
        rows = self.cluster.sql(
            "SELECT holder FROM headrace.leader WHERE expires_at > clock_timestamp()"
        )
        names = [host for host in self.hosts if rows and rows[0]["holder"].startswith(host.name)]
        return names[0] if names else None


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """Yield hosts and servers; nothing of Headrace is started yet.

    Raises:
        NoNetworks: As its message says.
    """
    environ = {
        "DATABASE_URL": f"postgresql://headrace:{PASSWORD}@{_SERVERS}/headrace",
        "REDIS_URL": f"redis://{_SERVERS}:{_REDIS_PORT}/0",
    }
    with (
        _networks() as (servers, north, south),
        _postgres(folder, servers) as database_url,
        _redis(folder, servers) as redis_url,
    ):
        upgrade(database_url)
        seen = Servers(database_url, redis_url)
        with cluster_on(seen, folder, env={"HEADRACE_LEASE_S": "4"}) as cluster:
            yield Site((north, south), cluster, environ)


@contextmanager
def _networks() -> Iterator[tuple[Host, ...]]:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        cause = f"these programs are missing: {', '.join(missing)}" if missing else "it takes root"
        raise NoNetworks(f"no network namespaces here: {cause}")
    mark = secrets.token_hex(3)
    hosts = [
        Host(name, f"hr-{mark}-{name}", f"{_NETWORK}{number}")
        for number, name in enumerate(("servers", "north", "south"), start=1)
    ]
    try:
        for host in hosts:
            _administer("ip", "netns", "add", host.namespace)
            host.administer(*"ip link set lo up".split())
        bridge = hosts[0]
        bridge.administer(*"ip link add bridge type bridge".split())
        bridge.administer(*"ip link set bridge up".split())
        bridge.administer(*f"ip address add {bridge.address}/24 dev bridge".split())
        for host in hosts[1:]:
            pair = f"ip link add {host.name} type veth peer name eth0 netns {host.namespace}"
            bridge.administer(*pair.split())
            bridge.administer(*f"ip link set {host.name} master bridge up".split())
            host.administer(*f"ip address add {host.address}/24 dev eth0".split())
            host.administer(*"ip link set eth0 up".split())
        yield tuple(hosts)
    finally:
        for host in hosts:
            with suppress(NoNetworks):
                _administer("ip", "netns", "delete", host.namespace)


@contextmanager
def _postgres(folder: Path, host: Host) -> Iterator[str]:
    """Start PostgreSQL on a host; yield the URL by which the test looks at it."""
    binaries = programs(place_of(folder / "unused"))
    access = folder / "pg_hba.conf"
    access.write_text("local all all trust\nhost all all 10.77.0.0/24 scram-sha-256\n")
    access.chmod(0o644)
    settings = ("listen_addresses=*", "port=5432", "client_connection_check_interval=1s")
    with second_server(binaries, *settings, within=host.inside, access=access) as server:
        _make_database(server)
        yield f"postgresql://headrace@/headrace?host={server.socket_folder}"


def _make_database(server: Server) -> None:
    server.execute(f"CREATE ROLE headrace LOGIN PASSWORD '{PASSWORD}'")
    server.execute("CREATE DATABASE headrace OWNER headrace")


@contextmanager
def _redis(folder: Path, host: Host) -> Iterator[str]:
    """Start Redis on a host; yield the URL by which the test looks at it."""
    socket = folder / "redis.sock"
    command = [redis_program(), "--port", str(_REDIS_PORT), "--bind", host.address]
    command += ["--protected-mode", "no", "--save", "", "--unixsocket", str(socket)]
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(host.inside(command), stdout=log, stderr=log, cwd=folder)
    url = f"unix://{socket}?db=0"
    try:
        limit = deadline(10)
        while time.monotonic() < limit:
            with suppress(redis.exceptions.ConnectionError), redis.Redis.from_url(url) as line:
                line.ping()
                break
            time.sleep(0.02)
        yield url
    finally:
        process.kill()
        process.wait()


def _administer(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoNetworks(f"no network namespaces here: {' '.join(command)}: {done.stderr.strip()}")
