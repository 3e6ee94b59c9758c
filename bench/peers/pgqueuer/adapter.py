"""PgQueuer. The variant is its batch size: `1` (a query a job) or `10` (its default)."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.contender import Contender, Place, place_from_environment
from bench.marks import mark
from bench.rows import INSERT, inserting


class Adapter(Contender):
    durable = True

    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self._loop = uvloop.new_event_loop()
        self._line = self._wait(asyncpg.connect(place.database_url))
        self._queries = Queries(AsyncpgDriver(self._line))

    def _wait(self, awaitable):  # type: ignore[no-untyped-def]
        return self._loop.run_until_complete(awaitable)

    def install(self) -> None:
        self._wait(self._queries.install())

    def worker_commands(self, processes: int) -> list[list[str]]:
        # Its own `pgq run` crashes at present: this calls the run() behind it.
        command = [sys.executable, "-m", "bench.peers.pgqueuer.adapter", self.variant]
        return [command for _ in range(processes)]

    def enqueue(self, number: int) -> None:
        self._wait(self._queries.enqueue("noop", str(number).encode()))

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        payloads: list[bytes | None] = [str(number).encode() for number in numbers]
        count = len(payloads)
        self._wait(self._queries.enqueue(["noop"] * count, payloads, [0] * count))

    def chain(self, numbers: Sequence[int]) -> None:
        self._wait(self._queries.enqueue("hop", f"{numbers[0]} {numbers[-1] + 1}".encode()))

    def finished(self) -> int:
        query = "SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'"
        return int(self.scalar(query))

    def scalar(self, sql: str) -> Any:
        return self._wait(self._line.fetchval(sql))

    def close(self) -> None:
        self._wait(self._line.close())
        self._loop.close()


async def work(batch_size: int) -> None:
    """Be a worker."""
    line = await asyncpg.connect(place_from_environment().database_url)
    queuer = PgQueuer.from_asyncpg_connection(line)
    rows = await asyncpg.connect(place_from_environment().database_url) if inserting() else None

    # It runs several jobs at once; a connection does one thing at a time.
    one_by_one = asyncio.Lock()

    async def do(number: int) -> None:
        mark(number)
        if rows is not None:
            async with one_by_one:
                await rows.execute(INSERT.format("$1"), number)

    @queuer.entrypoint("noop")
    async def noop(job: Job) -> None:
        await do(int(job.payload or b"0"))

    @queuer.entrypoint("hop")
    async def hop(job: Job) -> None:
        number, end = map(int, (job.payload or b"").split())
        await do(number)
        if number + 1 < end:
            await queuer.qm.queries.enqueue("hop", f"{number + 1} {end}".encode())

    await queuer.run(batch_size=batch_size)


if __name__ == "__main__":
    uvloop.run(work(int(sys.argv[1])))
