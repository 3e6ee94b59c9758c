"""Celery. Variants: `plain` (no result backend) and `postgresql` (with one, and track_started).

Also the module that its workers load.
"""

import os
from collections.abc import Sequence
from typing import Any

import psycopg2
from celery import Celery, chain, group
from sqlalchemy import create_engine, make_url, text

from bench.contender import Contender, NotNatural, Place, place_from_environment, program
from bench.marks import mark
from bench.rows import INSERT, inserting

_VARIANT = "BENCH_CELERY"


def _backend(place: Place) -> str:
    url = make_url(place.database_url).set(drivername="postgresql+psycopg2")
    return "db+" + url.render_as_string(hide_password=False)


def _app(place: Place, variant: str) -> Celery:
    app = Celery("bench", broker=f"redis+socket://{place.redis_socket}")
    app.conf.broker_connection_retry_on_startup = True
    if variant == "postgresql":
        app.conf.result_backend = _backend(place)
        app.conf.task_track_started = True
    else:
        app.conf.task_ignore_result = True
    app.task(name="noop")(noop)
    return app


_kept: list[Any] = []


def noop(number: int) -> None:
    mark(number)
    if inserting():
        if not _kept:
            _kept.append(psycopg2.connect(place_from_environment().database_url))
            _kept[0].autocommit = True
        with _kept[0].cursor() as cursor:
            cursor.execute(INSERT.format("%s"), (number,))


class Adapter(Contender):
    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self.durable = variant == "postgresql"
        self._app = _app(place, variant)
        self._task = self._app.tasks["noop"]
        url = make_url(place.database_url).set(drivername="postgresql+psycopg2")
        self._engine = create_engine(url)

    def install(self) -> None:
        if self.durable:
            # The backend makes its tables at the first use of a session.
            self._app.backend.ResultSession()

    def environment(self) -> dict[str, str]:
        return {_VARIANT: self.variant}

    def worker_commands(self, processes: int) -> list[list[str]]:
        app = ["-A", "bench.peers.celery.adapter:worker_app"]
        return [[program("celery"), *app, "worker", "-c", str(processes), "--loglevel", "warning"]]

    def enqueue(self, number: int) -> None:
        self._task.delay(number)

    def chain(self, numbers: Sequence[int]) -> None:
        chain(*(self._task.si(number) for number in numbers)).delay()

    def fan(self, numbers: Sequence[int]) -> None:
        if not self.durable:
            raise NotNatural  # a chord counts in the result backend
        first, *middle, last = (self._task.si(number) for number in numbers)
        chain(first, group(middle), last).delay()

    def finished(self) -> int:
        return int(self.scalar("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"))

    def scalar(self, sql: str) -> Any:
        with self._engine.connect() as connection:
            return connection.execute(text(sql)).scalar_one()

    def close(self) -> None:
        self._engine.dispose()
        self._app.close()


if _VARIANT in os.environ:
    worker_app = _app(place_from_environment(), os.environ[_VARIANT])
