"""Records how an attempt has ended, where its process has nothing else in hand."""

from headrace.engine.attempts.executor import Executor
from headrace.engine.attempts.outcome import Handled, Raised, raised
from headrace.errors import StaleAttempt, StoreUnavailable
from headrace.queue.message import Message
from headrace.store.attempts import Claimed


def record_end(executor: Executor, claimed: Claimed, handled: Handled | Raised) -> list[Message]:
    """Complete or fail the attempt, and finish its run; returns messages to send.

    Raises:
        StaleAttempt: The attempt is over.
        StoreUnavailable: The control database went away.
    """
    if isinstance(handled, Raised):
        messages = executor.give_up(claimed, handled)
    else:
        messages = _complete(executor, claimed, handled)
    return messages + executor.progress.finish_run(claimed)


def _complete(executor: Executor, claimed: Claimed, handled: Handled) -> list[Message]:
    try:
        completed = executor.complete(claimed, handled)
    except (StaleAttempt, StoreUnavailable):
        raise
    except Exception as error:  # noqa: BLE001 - a deferred constraint, say: the job's own fault
        return executor.give_up(claimed, raised(error))
    return executor.progress.release_dependants([claimed.id], completed)
