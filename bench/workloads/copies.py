"""Measures MirrorTable and SyncTable between two databases against what psql does by hand.

Both copy the same rows in the same round, one after the other; the value is psql's time divided
by Headrace's: above 1 Headrace is the faster. Headrace's is the job's own, commit included.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

from bench.peers.headrace.adapter import Adapter
from bench.workloads import loaders
from bench.workloads.idle import family

_SOURCE = """
CREATE TABLE source AS
SELECT i::bigint AS id, 'name ' || i AS name, 'user' || i || '@example.com' AS email,
       (i % 100000 / 7.0)::numeric(12, 2) AS amount, now() - i * interval '1 s' AS updated_at,
       date '2020-01-01' + (i % 2000)::int AS day, i % 2 = 0 AS active, i / 3.0::float8 AS score
  FROM generate_series(1, {rows}) AS i;
ALTER TABLE source ADD PRIMARY KEY (id);
ANALYZE source
"""
_CHANGE = """
UPDATE source SET name = name || '!', amount = amount + 1 WHERE id % 10 = 0;
VACUUM ANALYZE source
"""
_TARGET = """
DROP TABLE IF EXISTS {name};
CREATE TABLE {name} (id bigint PRIMARY KEY, name text, email text, amount numeric(12, 2),
                     updated_at timestamptz, day date, active boolean, score float8)
"""
_UPSERT_ROWS = (
    "INSERT INTO by_hand SELECT * FROM staged ON CONFLICT (id) DO UPDATE"
    " SET (name, email, amount, updated_at, day, active, score) ="
    " (excluded.name, excluded.email, excluded.amount, excluded.updated_at, excluded.day,"
    " excluded.active, excluded.score)"
    " WHERE (by_hand.*) IS DISTINCT FROM (excluded.*)"
)
_UPSERT = (
    "CREATE TEMPORARY TABLE staged (LIKE by_hand)",
    "COPY staged FROM STDIN (FORMAT binary)",
    _UPSERT_ROWS,
)
_LIMIT_S = 600.0


def run(
    contender: Adapter, *, job: str, rows: int, changed: bool = False, alone: bool = False
) -> dict[str, Any]:
    bench = Beside(contender, job)
    try:
        bench.prepare(rows)
        if changed:
            bench.by_hand()
            bench.ours()
            bench.execute(*_CHANGE.split(";"))
        bench.settle()
        hand_s = bench.by_hand(upsert=changed)
        bench.settle()
        ours_s, peak_mb = bench.ours()
        bench.compare(rows)
        compared = not (changed or alone)
        theirs = loaders.mirror(bench.source, bench.target, rows) if compared else {}
    finally:
        bench.end()
    return figures(hand_s, ours_s, peak_mb, theirs)


def figures(
    hand_s: float, ours_s: float, peak_mb: float, theirs: dict[str, float]
) -> dict[str, float]:
    """Return what is stored of one round: times, memory, and how many times as fast we are."""
    return {
        "value": hand_s / ours_s,
        "hand_s": hand_s,
        "ours_s": ours_s,
        "peak_mb": peak_mb,
        **theirs,
        **{name.replace("_s", "_times"): seconds / ours_s for name, seconds in theirs.items()},
    }


class Beside:
    """The other database, and the two ways to copy from it into the contender's own."""

    def __init__(self, contender: Adapter, job: str) -> None:
        self._contender, self._job = contender, job
        self.target = contender.place.database_url
        self._name = f"{make_url(self.target).database}_source"
        url = make_url(self.target).set(database=self._name)
        self.source = url.render_as_string(hide_password=False)

    def prepare(self, rows: int) -> None:
        config = self._contender.place.scratch / "config.yaml"
        config.write_text(f"connections:\n  other: {self.source}\n")
        run_on(self.target, f'DROP DATABASE IF EXISTS "{self._name}"',
             f'CREATE DATABASE "{self._name}"')  # fmt: skip
        self.execute(*_SOURCE.format(rows=rows).split(";"))
        for name in ("by_hand", "ours"):
            run_on(self.target, *_TARGET.format(name=name).split(";"))
        self._contender.install()
        self._contender.start_workers(1)

    def execute(self, *statements: str) -> None:
        run_on(self.source, *statements)

    def settle(self) -> None:
        run_on(self.target, "CHECKPOINT")

    def by_hand(self, *, upsert: bool = False) -> float:
        """Copy with psql and return the seconds that it takes."""
        into = _UPSERT if upsert else ("COPY by_hand FROM STDIN (FORMAT binary)",)
        psql = shutil.which("psql")
        if psql is None:
            raise RuntimeError("psql is not installed")
        began = time.monotonic()
        sending = subprocess.Popen(
            [psql, "-qX", self.source, "-c", "COPY source TO STDOUT (FORMAT binary)"],
            stdout=subprocess.PIPE,
        )
        options = [word for statement in into for word in ("-c", statement)]
        subprocess.run([psql, "-qX1", self.target, *options], stdin=sending.stdout, check=True)
        if sending.wait():
            raise RuntimeError("psql could not read the source")
        return time.monotonic() - began

    def ours(self) -> tuple[float, float]:
        """Copy with the job; return its seconds, and the worker's greatest memory in MB."""
        given = {"source_table": "source", "target_table": "ours", "source_connection": "other"}
        if self._job == "SyncTable":
            given["key"] = "id"
        return self.job(given)

    def job(self, given: dict[str, str], job: str | None = None) -> tuple[float, float]:
        """Run one job; return its seconds, and the worker's greatest memory in MB."""
        job_id = self._contender.headrace.dispatcher.dispatch(job or self._job, given)
        give_up = time.monotonic() + _LIMIT_S
        while True:
            ((status, seconds, error),) = self._contender.query(
                "SELECT status, extract(epoch FROM finished_at - started_at)::float8, error"
                f" FROM headrace.job WHERE id = '{job_id}'"
            )
            if status == "completed":
                return float(seconds), self._peak_mb()
            if status in ("failed", "cancelled") or time.monotonic() > give_up:
                raise RuntimeError(f"the job is {status}: {error}")
            time.sleep(0.01)

    def compare(self, rows: int) -> None:
        """Refuse a measurement of two ways that did not do the same."""
        both = "SELECT count(*) FROM ({0} EXCEPT ALL {1}) AS x"
        one, other = "TABLE by_hand", "TABLE ours"
        for pair in ((one, other), (other, one)):
            if self._contender.query(both.format(*pair)) != [(0,)]:
                raise RuntimeError("the tables are not the same")
        if self._contender.query("SELECT count(*) FROM ours") != [(rows,)]:
            raise RuntimeError("rows are missing")

    def end(self) -> None:
        self._contender.stop_workers()
        run_on(self.target, f'DROP DATABASE IF EXISTS "{self._name}"')

    def _peak_mb(self) -> float:
        """Return the peak resident memory of whichever process of the worker had most."""
        return max(
            int(line.split()[1]) / 1024
            for pid in family(self._contender.worker_pids())
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("VmHWM:")
        )


def run_on(url: str, *statements: str) -> None:
    line = psycopg2.connect(url, application_name=f"bench:{os.getpid()}")
    line.autocommit = True
    try:
        with line.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        line.close()
