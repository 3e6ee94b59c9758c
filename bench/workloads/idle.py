"""Measures the idle stack: daemon, two workers, web page, nothing due.

CPU seconds and memory of all its processes, the database servers left out; transactions in its
database and commands in Valkey. Memory is PSS: a page that n processes share counts 1/n.
"""

import os
import time
from pathlib import Path
from typing import Any

import psycopg2
import redis
from sqlalchemy.engine import make_url

from bench.peers.headrace.adapter import Adapter
from bench.workloads.warm import WARM_JOBS, prepare, warm_up

# PostgreSQL counts an idle connection's last transactions after ten seconds.
_SETTLE_S = 15.0


def run(contender: Adapter, *, seconds: float, workers: int = 2) -> dict[str, Any]:
    marks = prepare(contender, WARM_JOBS)
    contender.whole = True
    warm_up(contender, marks, workers, WARM_JOBS)
    time.sleep(_SETTLE_S)
    pids = family(contender.worker_pids())
    before, began = _reading(contender, pids), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    after = _reading(contender, pids)
    if family(contender.worker_pids()) != pids:
        raise RuntimeError("a process of the stack was replaced meanwhile")
    cpu_s = after["cpu_s"] - before["cpu_s"]
    return {
        "value": 100 * cpu_s / passed,
        "cpu_s": cpu_s,
        "pss_mb": sum(map(pss_kb, pids)) / 1024,
        "processes": len(pids),
        "connections": _connections(contender.place.database_url),
        "transactions_per_s": (after["transactions"] - before["transactions"]) / passed,
        "redis_commands_per_s": (after["commands"] - before["commands"]) / passed,
    }


def family(roots: list[int]) -> list[int]:
    """Return processes and all their descendants."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(entry.name))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += below.get(pid, [])
    return sorted(found)


def pss_kb(pid: int) -> int:
    """Return a process's proportional share of memory in kB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _reading(contender: Adapter, pids: list[int]) -> dict[str, float]:
    with redis.from_url(contender.place.redis_url) as line:
        commands = line.info("stats")["total_commands_processed"]
    return {
        "cpu_s": sum(map(cpu_s, pids)),
        "transactions": _transactions(contender.place.database_url),
        "commands": float(commands),
    }


def _connections(database_url: str) -> float:
    return _ask("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", database_url)


def _transactions(database_url: str) -> float:
    return _ask(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s", database_url
    )


def _ask(query: str, database_url: str) -> float:
    """Ask from another database, so that asking does not count."""
    url = make_url(database_url)
    line = psycopg2.connect(url.set(database="postgres").render_as_string(hide_password=False))
    try:
        with line.cursor() as cursor:
            cursor.execute(query, (url.database,))
            row = cursor.fetchone()
            return float(row[0]) if row else 0.0
    finally:
        line.close()
