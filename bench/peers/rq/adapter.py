"""Plain RQ. Variants: `fork` (its default Worker) and `simple` (SimpleWorker)."""

from collections.abc import Sequence

import redis
import rq
from rq.job import Dependency

from bench.contender import Contender, Place, program
from bench.marks import mark

_CLASSES = {"fork": "rq.worker.Worker", "simple": "rq.worker.SimpleWorker"}


class Adapter(Contender):
    def __init__(self, place: Place, variant: str) -> None:
        super().__init__(place, variant)
        self._redis = redis.from_url(place.redis_url)
        self._queue = rq.Queue(connection=self._redis)

    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [program("rq"), "worker", "--quiet", "--url", self.place.redis_url]
        return [[*command, "--worker-class", _CLASSES[self.variant]] for _ in range(processes)]

    def enqueue(self, number: int) -> None:
        self._queue.enqueue(mark, number)

    def enqueue_many(self, numbers: Sequence[int]) -> None:
        self._queue.enqueue_many([rq.Queue.prepare_data(mark, (number,)) for number in numbers])

    def chain(self, numbers: Sequence[int]) -> None:
        previous = None
        for number in numbers:
            previous = self._queue.enqueue(mark, number, depends_on=previous)

    def fan(self, numbers: Sequence[int]) -> None:
        first, *middle, last = numbers
        root = self._queue.enqueue(mark, first)
        below = self._queue.enqueue_many(
            [rq.Queue.prepare_data(mark, (number,), depends_on=root) for number in middle]
        )
        self._queue.enqueue(mark, last, depends_on=Dependency(below))

    def close(self) -> None:
        self._redis.close()
