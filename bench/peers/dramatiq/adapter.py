"""Dramatiq on Redis. Also the module that its workers load."""

from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware.group_callbacks import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

from bench.contender import Contender, place_from_environment, program
from bench.marks import mark

_URL = place_from_environment().redis_url
broker = RedisBroker(url=_URL)
broker.add_middleware(GroupCallbacks(RedisBackend(url=_URL)))
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(number: int) -> None:
    mark(number)


@dramatiq.actor
def root(first: int, end: int) -> None:
    """Run, then start the rest of a fan."""
    mark(first)
    middle = dramatiq.group([noop.message(number) for number in range(first + 1, end - 1)])
    middle.add_completion_callback(noop.message(end - 1))
    middle.run()


class Adapter(Contender):
    def worker_commands(self, processes: int) -> list[list[str]]:
        # One thread a process: as many jobs at once as all the others have.
        command = [program("dramatiq"), "bench.peers.dramatiq.adapter"]
        return [[*command, "--processes", str(processes), "--threads", "1"]]

    def enqueue(self, number: int) -> None:
        noop.send(number)

    def chain(self, numbers: Sequence[int]) -> None:
        # Without a result to pass on: each message is told to ignore what it is piped.
        dramatiq.pipeline(
            [noop.message_with_options(args=(number,), pipe_ignore=True) for number in numbers]
        ).run()

    def fan(self, numbers: Sequence[int]) -> None:
        root.send(numbers[0], numbers[-1] + 1)

    def close(self) -> None:
        broker.close()
