"""A MariaDB for tests: Debian's, under an account that is not root, on a free port."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests.support.memory_folders import new_folder
from tests.support.places import PASSWORD, NotInstalled, as_server_user, becoming, give
from tests.support.ports import free_port
from tests.support.processes import deadline

_LIMIT_S = 60.0
# Small and careless: its data lie in memory and end with the tests.
_OPTIONS = (
    "--innodb-log-file-size=4M",
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=0",
    "--skip-name-resolve",
)


@dataclass(frozen=True, slots=True)
class MariaDb:
    """The running server, with the ordinary user `etl`."""

    port: int

    def url(self, database: str) -> str:
        """Return the URL by which `etl` reaches a database."""
        return f"mysql+pymysql://etl:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def session(self, database: str) -> "pymysql.Connection[Any]":
        """Open a session of `etl`'s, for what has to stay open."""
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="etl", password=PASSWORD, database=database
        )

    def execute(self, *statements: str, user: str = "root", database: str | None = None) -> Any:
        """Run statements, each committed at once; return the last one's rows."""
        password = "" if user == "root" else PASSWORD
        opened = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
        )
        with contextlib.closing(opened), opened.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())


@contextlib.contextmanager
def mariadb_server() -> Iterator[MariaDb]:
    """Yield a new server.

    Raises:
        NotInstalled: there is none on this machine.
    """
    program = shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    install = shutil.which("mariadb-install-db")
    if program is None or install is None:
        raise NotInstalled("no MariaDB: apt-get install mariadb-server")
    folder = new_folder("maria-")
    folder.chmod(0o755)
    give(folder)
    data = [f"--datadir={folder}/data", f"--tmpdir={folder}"]
    made = ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]
    as_server_user([install, *made, *data, *_OPTIONS], cwd=folder)
    port = free_port()
    address = [f"--socket={folder}/s", f"--port={port}", "--bind-address=127.0.0.1"]
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        becoming([program, "--no-defaults", *data, *address, *_OPTIONS]),
        cwd=folder,
        stdout=log,
        stderr=log,
    )
    try:
        server = MariaDb(port)
        _wait_for(server, process, folder / "log")
        server.execute(f"CREATE USER etl@'%' IDENTIFIED BY '{PASSWORD}'")
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(server: MariaDb, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up = deadline(_LIMIT_S)
    while True:
        try:
            server.execute("SELECT 1")
        except pymysql.OperationalError:
            said = log.read_text(errors="replace")
            assert process.poll() is None, said
            assert time.monotonic() < give_up, said
            time.sleep(0.05)
        else:
            return
