"""The role `headrace` of the embedded PostgreSQL: an ordinary one, whatever the home's age.

Nobody logs in as the bootstrap superuser. What needs it runs in single-user mode, in which no
server is up; each step there is one transaction and may be repeated, so a start that was
interrupted is followed by one that goes on. `pg_hba.conf` is written last: a cluster whose file
turns the superuser away is done.
"""

import json
import os
import re
import time
from pathlib import Path

from headrace.store.embedded.place import Place, open_log, refuse
from headrace.store.embedded.process import run

ROLE = "headrace"
BOOTSTRAP = "headrace_bootstrap"

_SQL = Path(__file__).parent
# An error ends the session with an exit code. The cluster's own setting keeps errors, which may
# repeat data, out of its log; here they are ours.
_SINGLE = ("-c", "exit_on_error=on", "-c", "log_min_messages=error", "-c", "log_statement=none")
# A start that was killed leaves its session behind, which ends with the statement it is at.
_PATIENCE_S = 15.0
_HELD = re.compile(r"lock file|pre-existing shared memory")
_REJECT = f"""\
# Headrace: nobody logs in as the bootstrap superuser. Keep these lines first.
local  all,replication  {BOOTSTRAP}       reject
host   all,replication  {BOOTSTRAP}  all  reject
"""


def make_role(place: Place, data: Path, binaries: Path, identity: str) -> None:
    """Make the role and its database in a new cluster.

    Raises:
        EmbeddedError: PostgreSQL refuses.
    """
    create = f"CREATE DATABASE {ROLE} OWNER {ROLE};\n\n"
    _session(place, data, binaries, identity, "template1", _sql("role.sql") + create)
    _turn_away(data)


def is_ordinary(data: Path) -> bool:
    """Return whether the cluster's role is an ordinary one."""
    return _hba(data).read_text().startswith(_REJECT)


def hand_over(place: Place, binaries: Path, identity: str) -> None:
    """Make the role of a cluster of an earlier version an ordinary one that owns what it made.

    Raises:
        EmbeddedError: PostgreSQL refuses; the next start tries again.
    """
    data = place.data
    said = _session(place, data, binaries, identity, "template1", _sql("role.sql") + _LIST)
    found = re.search(r"databases (\[.*\])", said)
    if found is None:
        raise refuse(data, f"its databases cannot be listed: {said[-300:]}")
    for name in json.loads(found[1]):
        _session(place, data, binaries, identity, name, _sql("handover.sql"))
    _turn_away(data)


# In the order of their making; template0 is nobody's to change.
_LIST = """\
COPY (SELECT 'databases ' || json_agg(datname ORDER BY oid) FROM pg_database
       WHERE datname <> 'template0') TO STDOUT;

"""


def _sql(name: str) -> str:
    return (_SQL / name).read_text()


def _session(
    place: Place, data: Path, binaries: Path, identity: str, database: str, statements: str
) -> str:
    """Run statements in single-user mode and return what PostgreSQL printed."""
    command = [str(binaries / "postgres"), "--single", "-j", "-D", str(data), *_SINGLE, database]
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        code, printed, said = run(identity, command, cwd=data, given=statements)
        if code == 0:
            return printed
        if not _HELD.search(said) or time.monotonic() > give_up:
            break
        time.sleep(0.1)
    log = open_log(place, "postgres")
    os.write(log, said.encode() + b"\n")
    os.close(log)
    raise refuse(data, f"the role {ROLE} cannot be created", place.log("postgres"))


def _turn_away(data: Path) -> None:
    """Let `pg_hba.conf` reject the bootstrap superuser, before any other rule."""
    file = _hba(data)
    whole = file.with_name("pg_hba.conf.new")
    text = file.read_text()
    whole.write_text(_REJECT + text.removeprefix(_REJECT))
    owner = data.stat()
    whole.chmod(0o600)
    if owner.st_uid != os.geteuid():
        os.chown(whole, owner.st_uid, owner.st_gid)
    whole.replace(file)


def _hba(data: Path) -> Path:
    return data / "pg_hba.conf"
