"""Two bare loops of our own: the least that a durable job can cost, with nothing else around.

`two-commits`: a message is moved off Redis' list, the job's start committed, its end committed.
`one-commit`: no Redis; the end of one job and the claim of the next are one commit.
"""

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import psycopg2
import psycopg2.extras
import redis

from bench.contender import Contender, NotNatural, Place, place_from_environment
from bench.marks import mark
from bench.rows import INSERT, inserting

_TABLE = """
CREATE TABLE job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number integer NOT NULL,
    chain_end integer,
    status text NOT NULL DEFAULT 'queued',
    started_at timestamptz,
    finished_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX job_queued ON job (id) WHERE status = 'queued'
"""
_INSERT = "INSERT INTO job (number, chain_end) VALUES (%s, %s) RETURNING id"
_ROW = INSERT.format("%s")
_START = """
PREPARE start_job AS UPDATE job SET status = 'started', started_at = clock_timestamp()
 WHERE id = $1 AND status = 'queued' RETURNING number, chain_end
"""
_FINISH = """
PREPARE finish_job AS UPDATE job SET status = 'completed', finished_at = clock_timestamp()
 WHERE id = $1 AND status = 'started'
"""
_FINISH_AND_START = """
PREPARE finish_and_start AS
WITH done AS (
    UPDATE job SET status = 'completed', finished_at = clock_timestamp()
     WHERE id = $1 AND status = 'started'
), following AS (
    SELECT id FROM job WHERE status = 'queued' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE job SET status = 'started', started_at = clock_timestamp()
  FROM following WHERE job.id = following.id
RETURNING job.id, job.number
"""


class Adapter(Contender):
    durable = True

    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self._line = psycopg2.connect(place.database_url)
        self._line.autocommit = True
        self._cursor = self._line.cursor()
        self._redis = redis.from_url(place.redis_url)

    def install(self) -> None:
        self._cursor.execute(_TABLE)

    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [sys.executable, "-m", "bench.peers.bare.adapter", self.variant]
        return [command for _ in range(processes)]

    def enqueue(self, number: int) -> None:
        self._cursor.execute(_INSERT, (number, None))
        self._push(self._cursor.fetchall())

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        sql = "INSERT INTO job (number) VALUES %s RETURNING id"
        values = [(number,) for number in numbers]
        self._push(
            psycopg2.extras.execute_values(self._cursor, sql, values, page_size=1000, fetch=True)
        )

    def chain(self, numbers: Sequence[int]) -> None:
        if self.variant != "two-commits":
            raise NotNatural  # nothing would wake the next worker
        self._cursor.execute(_INSERT, (numbers[0], numbers[-1] + 1))
        self._push(self._cursor.fetchall())

    def _push(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if self.variant == "two-commits":
            for start in range(0, len(rows), 1000):
                self._redis.rpush("bare", *(row[0] for row in rows[start : start + 1000]))

    def finished(self) -> int:
        return int(self.scalar("SELECT count(*) FROM job WHERE status = 'completed'"))

    def scalar(self, sql: str) -> Any:
        self._cursor.execute(sql)
        row = self._cursor.fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self._line.close()
        self._redis.close()


def two_commits(cursor: Any, line: "redis.Redis[bytes]") -> None:
    """Work through Redis."""
    mine = f"bare:{os.getpid()}"
    inserts = inserting()
    cursor.execute(";".join((_START, _FINISH)))
    while True:
        job_id: Any = line.blmove("bare", mine, 5, "LEFT", "RIGHT")
        if job_id is None:
            continue
        cursor.execute("EXECUTE start_job (%s)", (int(job_id),))
        number, chain_end = cursor.fetchone()
        mark(number)
        following, begin = None, "BEGIN; "
        if inserts:
            cursor.execute(f"{begin}{_ROW}", (number,))
            begin = ""
        if chain_end is not None and number + 1 < chain_end:
            cursor.execute(f"{begin}{_INSERT}", (number + 1, chain_end))
            following, begin = cursor.fetchone()[0], ""
        commit = "" if begin else "; COMMIT"
        cursor.execute(f"EXECUTE finish_job (%s){commit}", (int(job_id),))
        pipeline = line.pipeline(transaction=False)
        pipeline.lrem(mine, 1, job_id)
        if following is not None:
            pipeline.rpush("bare", following)
        pipeline.execute()


def one_commit(cursor: Any) -> None:
    """Work without Redis, until nothing is queued."""
    cursor.execute(_FINISH_AND_START)
    previous = 0
    inserts = inserting()
    while True:
        cursor.execute("EXECUTE finish_and_start (%s)", (previous,))
        row = cursor.fetchone()
        if inserts and previous:
            cursor.execute("COMMIT")
        if row is None:
            return
        previous, number = row
        mark(number)
        if inserts:
            cursor.execute(f"BEGIN; {_ROW}", (number,))


def work(variant: str) -> None:
    """Be a worker."""
    place = place_from_environment()
    database = psycopg2.connect(place.database_url)
    database.autocommit = True
    with contextlib.closing(database), database.cursor() as cursor:
        if variant == "two-commits":
            two_commits(cursor, redis.from_url(place.redis_url))
        else:
            one_commit(cursor)


if __name__ == "__main__":
    work(sys.argv[1])
