"""The file of a liveness probe: renewed though the servers are away."""

import os
from pathlib import Path

from headrace.store import embedded
from headrace.store.embedded import Servers
from headrace.store.migrations import upgrade
from tests.support.cli import Headrace
from tests.support.processes import wait_until


def renewed(file: Path) -> bool:
    return file.exists() and file.stat().st_mtime > 0


def test_daemon_and_worker_renew_their_files_though_redis_and_postgresql_are_away(
    own_servers: Servers, own_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "pipelines").mkdir()
    upgrade(own_servers.database_url)
    urls = {"DATABASE_URL": own_servers.database_url, "REDIS_URL": own_servers.redis_url}
    files = [tmp_path / name for name in ("daemon", "worker")]
    daemon, worker = (
        Headrace(tmp_path, {**urls, "HEADRACE_ALIVE_FILE": str(file)}) for file in files
    )
    with daemon.started("daemon") as first, worker.started("worker") as second:
        first.wait_for("leading")
        second.wait_for("serving")
        embedded.stop(own_home)
        for file in files:
            os.utime(file, (0, 0))
        wait_until(lambda: all(renewed(file) for file in files), limit_s=30)
        assert first.process.poll() is None
        assert second.process.poll() is None
