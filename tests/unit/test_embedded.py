"""The embedded servers, each test with real ones in a home of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import redis

from headrace.errors import EmbeddedError
from headrace.store import embedded
from headrace.store.embedded import Servers, process
from headrace.store.embedded.place import place_of
from tests.support.servers import connect

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def home(own_home: Path) -> Iterator[Path]:
    yield own_home
    embedded.stop(own_home)


def query(servers: Servers, sql: str) -> list[tuple[object, ...]]:
    with closing(connect(servers.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall()) if cursor.description else []


def postmaster_pid(home: Path) -> int:
    return int((home / "postgres" / "postmaster.pid").read_text().split()[0])


def valkey_pid(home: Path) -> int:
    return int((place_of(home).sockets / "valkey.pid").read_text())


def kill(pid: int) -> None:
    process.end(pid, [(signal.SIGKILL, 10)])


def test_nothing_is_found_and_nothing_is_made_where_nothing_was_started(own_home):
    absent = own_home / "absent"

    assert embedded.find(absent) is None
    embedded.stop(absent)
    assert not absent.exists()


def test_a_second_start_finds_the_running_servers(home):
    first = embedded.start(home)
    pids = postmaster_pid(home), valkey_pid(home)

    assert embedded.start(home) == first == embedded.find(home) == embedded.urls(home)
    assert (postmaster_pid(home), valkey_pid(home)) == pids


def test_processes_that_start_at_once_share_one_pair_of_servers(home):
    code = "import sys; from pathlib import Path; from headrace.store import embedded;"
    code += "print(embedded.start(Path(sys.argv[1])).database_url)"

    def start() -> str:
        return subprocess.check_output([sys.executable, "-c", code, str(home)], text=True).strip()

    with ThreadPoolExecutor() as pool:
        answers = [each.result() for each in [pool.submit(start) for _ in range(4)]]
    assert set(answers) == {embedded.urls(home).database_url}


def test_what_was_committed_survives_stop_and_start(home):
    query(embedded.start(home), "CREATE TABLE kept AS SELECT 1 AS one")
    embedded.stop(home)

    assert embedded.find(home) is None
    assert query(embedded.start(home), "SELECT one FROM kept") == [(1,)]


def test_what_was_committed_survives_a_killed_server(home):
    query(embedded.start(home), "CREATE TABLE kept AS SELECT 1 AS one")
    kill(postmaster_pid(home))

    assert query(embedded.start(home), "SELECT one FROM kept") == [(1,)]


def test_the_servers_have_these_settings(home):
    """The disk is waited for, nobody is reached by TCP, and no log repeats what users say."""
    servers = embedded.start(home)

    names = [name for name, _ in POSTGRES]
    shown = "SELECT n, current_setting(n) FROM unnest(%s) AS n"
    with closing(connect(servers.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(shown, (names,))
        assert cursor.fetchall() == POSTGRES
    with redis.Redis.from_url(servers.redis_url) as client:
        assert client.config_get(*VALKEY) == VALKEY


POSTGRES = [
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "200"),
    ("shared_buffers", "64MB"),
    ("max_wal_size", "1GB"),
    ("jit", "off"),
    ("TimeZone", "UTC"),
    ("log_timezone", "UTC"),
    ("client_connection_check_interval", "1s"),
    ("log_min_messages", "log"),
    ("log_min_error_statement", "panic"),
    ("log_checkpoints", "off"),
    ("server_encoding", "UTF8"),
]
VALKEY = {
    "port": "0",
    "unixsocketperm": "700",
    "save": "",
    "appendonly": "no",
    "daemonize": "no",
    "loglevel": "warning",
    "maxmemory-policy": "noeviction",
}


def test_valkey_keeps_its_content_over_an_orderly_stop(home):
    with redis.Redis.from_url(embedded.start(home).redis_url) as client:
        client.set("kept", "yes")
    embedded.stop(home)

    with redis.Redis.from_url(embedded.start(home).redis_url) as client:
        assert client.get("kept") == b"yes"


def test_valkey_comes_back_empty_from_a_crash_rather_than_with_an_old_state(home):
    with redis.Redis.from_url(embedded.start(home).redis_url) as client:
        client.set("old", "yes")
    embedded.stop(home)
    with redis.Redis.from_url(embedded.start(home).redis_url) as client:
        client.set("new", "yes")
    kill(valkey_pid(home))

    with redis.Redis.from_url(embedded.start(home).redis_url) as client:
        assert client.dbsize() == 0


def test_a_copied_home_is_a_database_of_its_own(home, tmp_path):
    original = embedded.start(home)
    query(original, "CREATE TABLE kept AS SELECT 1 AS one")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(home), str(copy)], check=True)
    try:
        assert embedded.find(copy) is None
        copied = embedded.start(copy)
        query(copied, "DROP TABLE kept")
        assert query(original, "SELECT one FROM kept") == [(1,)]
    finally:
        embedded.stop(copy)
    assert embedded.find(home) == original


@pytest.mark.parametrize("name", ["x" * 100, "a, b", "ünï?cöde#%41", "with space"])
def test_any_path_can_be_a_home(own_home, name):
    home = own_home / name
    try:
        servers = embedded.start(home)
        assert query(servers, "SELECT current_database()") == [("headrace",)]
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
    finally:
        embedded.stop(home)
        if place_of(home).sockets.parent != place_of(home).home:
            shutil.rmtree(place_of(home).sockets)


def test_a_folder_for_sockets_that_somebody_else_made_is_refused(own_home):
    home = own_home / ("x" * 100)
    sockets = place_of(home).sockets
    sockets.symlink_to(own_home)
    try:
        with pytest.raises(EmbeddedError, match="should be a folder of user id"):
            embedded.start(home)
    finally:
        sockets.unlink()


def test_nobody_else_can_reach_the_servers(home):
    embedded.start(home)
    place = place_of(home)

    assert query(embedded.urls(home), "SHOW listen_addresses") == [("",)]
    for folder in (place.sockets, place.data, place.valkey):
        assert folder.stat().st_mode & 0o077 == 0


def test_the_servers_do_not_share_our_terminal(home):
    embedded.start(home)

    assert os.getsid(0) not in {os.getsid(postmaster_pid(home)), os.getsid(valkey_pid(home))}


def test_psql_and_rq_take_the_urls_as_they_are(home):
    servers = embedded.start(home)
    psql = embedded.postgres.programs(place_of(home)) / "psql"
    asked = [str(psql), servers.database_url, "-Atc", "SELECT 1"]
    assert subprocess.check_output(asked, text=True) == "1\n"
    rq = [sys.executable, "-m", "rq.cli", "info", "-u", servers.redis_url]
    assert "0 workers" in subprocess.check_output(rq, text=True)


def test_the_last_user_stops_the_servers_and_no_other(home):
    with embedded.use(home) as servers:
        with embedded.use(home):
            assert embedded.find(home) == servers
        assert embedded.find(home) == servers
    assert embedded.find(home) is None


def test_an_interrupted_creation_is_begun_anew(home):
    (home / "postgres.new" / "base").mkdir(parents=True)

    assert query(embedded.start(home), "SELECT 1") == [(1,)]


def test_data_of_another_major_version_is_refused_and_left_alone(home):
    (home / "postgres").mkdir()
    (home / "postgres" / "PG_VERSION").write_text("17\n")

    with pytest.raises(EmbeddedError, match=r"this data is of PostgreSQL 17.*dump it"):
        embedded.start(home)
    assert (home / "postgres" / "PG_VERSION").read_text() == "17\n"


def test_a_server_that_does_not_start_says_why(home):
    embedded.start(home)
    embedded.stop(home)
    with (home / "postgres" / "postgresql.conf").open("a") as file:
        file.write("shared_buffers = nonsense\n")

    with pytest.raises(EmbeddedError, match="nonsense") as caught:
        embedded.start(home)
    assert "DATABASE_URL" in str(caught.value)


@as_root
def test_as_root_nothing_outside_the_home_changes(own_home):
    own_home.chmod(0o700)
    users, before = Path("/etc/passwd").read_bytes(), own_home.stat()
    home = own_home / "below"
    try:
        assert query(embedded.start(home), "SELECT 1") == [(1,)]
    finally:
        embedded.stop(home)
    after = own_home.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    assert Path("/etc/passwd").read_bytes() == users


@as_root
def test_where_user_namespaces_are_forbidden_root_gives_the_data_to_nobody(own_home, monkeypatch):
    # The folder above is the test's own: others are in the one above that.
    own_home.chmod(0o700)
    home = own_home / "below"
    query(embedded.start(home), "CREATE TABLE kept AS SELECT 1 AS one")
    embedded.stop(home)
    check = process._check
    monkeypatch.setattr(
        process,
        "_check",
        lambda identity, paths: "no" if "userns" in identity else check(identity, paths),
    )

    try:
        assert query(embedded.start(home), "SELECT one FROM kept") == [(1,)]
    finally:
        embedded.stop(home)
    assert (home / "postgres").stat().st_uid != 0
    assert home.stat().st_uid == 0


@as_root
def test_a_home_that_another_user_made_is_refused_by_root_too(own_home):
    home = own_home / "home"
    home.mkdir()
    os.chown(home, process._nobody(), -1)

    for use in (embedded.start, embedded.find, embedded.stop):
        with pytest.raises(EmbeddedError, match="belongs to nobody: run Headrace as nobody"):
            use(home)
    assert list(home.iterdir()) == []


def test_a_home_that_everybody_may_write_into_is_refused(own_home):
    own_home.chmod(0o777)

    with pytest.raises(EmbeddedError, match="everybody can write to it"):
        embedded.start(own_home)
