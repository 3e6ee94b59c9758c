"""Entry of the daemons and workers that the tests kill: `python -m tests.support.process`."""

import ctypes
import logging
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from headrace.declarations.config import load_settings
from headrace.engine import application
from headrace.engine.application import connect
from headrace.engine.attempts import unknown_jobs
from headrace.engine.daemon import Daemon
from headrace.engine.operations import recovery
from headrace.engine.workers.group_commit import batch
from headrace.engine.workers.main import run_worker
from headrace.store import attempts, migrations

# From linux/sched.h.
_NEW_UTS, _NEW_NET = 0x04000000, 0x40000000


def become_version(schema: str) -> None:
    """Be a Headrace whose newest schema is another one."""
    for module, name, value in (
        (migrations, "LATEST", schema),
        (application, "LATEST", schema),
        (attempts, "CAN", int(schema)),
        (unknown_jobs, "CAN", int(schema)),
    ):
        assert hasattr(module, name)
        setattr(module, name, value)


def move_to(host: str) -> None:
    """Be on another host, `name@namespace` of tests/support/hosts.py, before any thread is."""
    name, _, namespace = host.partition("@")
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open() as network:
        if libc.setns(network.fileno(), _NEW_NET) or libc.unshare(_NEW_UTS):
            raise OSError(ctypes.get_errno(), "this process cannot change its network")
    socket.sethostname(name)


def main(role: str, processes: int) -> None:
    if host := os.environ.get("TEST_HOST"):
        move_to(host)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(process)d %(name)s %(levelname)s %(message)s"
    )
    if schema := os.environ.get("TEST_SCHEMA"):
        become_version(schema)
    limit = int(os.environ.get("TEST_MAX_MEMORY_BYTES", "0"))
    # On a busy machine hardly a job is short, or brief.
    batch._SHORT_S = float(os.environ.get("TEST_SHORT_S", batch._SHORT_S))
    batch._BRIEF_S = float(os.environ.get("TEST_BRIEF_S", batch._BRIEF_S))
    batch._TOGETHER_S *= batch._BRIEF_S / 0.01
    # Where a test waits for several sweeps.
    recovery._SWEEP_EVERY_S = float(os.environ.get("TEST_SWEEP_S", recovery._SWEEP_EVERY_S))
    headrace = connect(replace(load_settings(), max_memory_bytes=limit), role=role)
    if role == "daemon":
        Daemon(headrace).run()
    else:
        run_worker(headrace, processes=processes)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
