"""An embedded PostgreSQL that ends without a goodbye, and starts again."""

import os
import signal
from pathlib import Path

from headrace.store import embedded
from tests.support.cluster import Cluster
from tests.support.processes import wait_until


def end_postgres(home: Path) -> None:
    """An immediate shutdown: no checkpoint, no goodbye."""
    pid = int((home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGQUIT)
    wait_until(lambda: embedded.find(home) is None, what="PostgreSQL's end")


def crash_postgres(cluster: Cluster, home: Path) -> None:
    """An immediate shutdown, then a new start with its recovery."""
    end_postgres(home)
    embedded.start(home)
    cluster.reconnect()
