"""Huey on Redis. Also the module that its consumer loads."""

from collections.abc import Sequence

from huey import RedisHuey, group

from bench.contender import Contender, place_from_environment, program
from bench.marks import mark

# Results would be kept for ever where nobody reads them; a chord needs them.
queue = RedisHuey("bench", url=place_from_environment().redis_url)


@queue.task()
def noop(number: int, *_upstream: object) -> None:
    mark(number)


@queue.task()
def root(first: int, end: int) -> None:
    """Run, then start the rest of a fan."""
    mark(first)
    middle = group([noop.s(number) for number in range(first + 1, end - 1)])
    queue.enqueue(middle.then(noop, end - 1))


class Adapter(Contender):
    def worker_commands(self, processes: int) -> list[list[str]]:
        command = [program("huey_consumer"), "bench.peers.huey.adapter.queue", "--quiet"]
        return [[*command, "--workers", str(processes), "--worker-type", "process"]]

    def enqueue(self, number: int) -> None:
        noop(number)

    def chain(self, numbers: Sequence[int]) -> None:
        task = noop.s(numbers[0])
        for number in numbers[1:]:
            task.then(noop, number)
        queue.enqueue(task)

    def fan(self, numbers: Sequence[int]) -> None:
        root(numbers[0], numbers[-1] + 1)
