"""Procrastinate. Also the module that its workers load."""

import asyncio
from collections.abc import Sequence
from typing import Any

import procrastinate
import psycopg

from bench.contender import Contender, Place, place_from_environment, program
from bench.marks import mark
from bench.rows import INSERT, inserting

# As asynchronous tasks: synchronous ones would each go through a thread.
app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=place_from_environment().database_url)
)


_kept: list[psycopg.AsyncConnection[Any]] = []


async def do(number: int) -> None:
    mark(number)
    if inserting():
        if not _kept:
            url = place_from_environment().database_url
            _kept.append(await psycopg.AsyncConnection.connect(url, autocommit=True))
        await _kept[0].execute(INSERT.format("%s"), (number,))


@app.task(name="noop")
async def noop(number: int) -> None:
    await do(number)


@app.task(name="hop")
async def hop(number: int, end: int) -> None:
    await do(number)
    if number + 1 < end:
        await hop.defer_async(number=number + 1, end=end)


class Adapter(Contender):
    durable = True

    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(app.open_async())
        self._line = psycopg.connect(place.database_url, autocommit=True)

    def install(self) -> None:
        self._loop.run_until_complete(app.schema_manager.apply_schema_async())

    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [program("procrastinate"), "--app", "bench.peers.procrastinate.adapter.app"]
        return [[*command, "worker", "--concurrency", "1"] for _ in range(processes)]

    def enqueue(self, number: int) -> None:
        self._loop.run_until_complete(noop.defer_async(number=number))

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        jobs = [{"number": number} for number in numbers]
        self._loop.run_until_complete(noop.batch_defer_async(*jobs))

    def chain(self, numbers: Sequence[int]) -> None:
        first = hop.defer_async(number=numbers[0], end=numbers[-1] + 1)
        self._loop.run_until_complete(first)

    def finished(self) -> int:
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
        return int(self.scalar(query))

    def scalar(self, sql: str) -> Any:
        row = self._line.execute(sql).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        self._line.close()
        self._loop.run_until_complete(app.close_async())
        self._loop.close()
