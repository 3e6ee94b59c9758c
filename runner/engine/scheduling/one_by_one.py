"""Starts runs together, and one by one where that fails."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from headrace.errors import LeadershipLost, StoreUnavailable
from headrace.store.outages import misses_something

log = logging.getLogger("headrace.daemon")

_Due = TypeVar("_Due")
_Started = TypeVar("_Started")


def start_due(
    due: Sequence[_Due], start: Callable[[Sequence[_Due], Exception | None], _Started]
) -> list[_Started]:
    """Have `start` begin the runs that are `due`, and return what it has started.

    `due` are names of pipelines, or whatever else names itself as text. One whose runs cannot be
    stored must not keep the others from theirs: `start` is called once more for it alone, with
    the error, to pass over its runs and tell.

    Raises:
        StoreUnavailable: What was not started has to be tried again.
        LeadershipLost: What is due is the next leader's.
        Exception: The database lacks a table or a right. No run could be stored, so none is passed
            over.
    """
    try:
        return [start(due, None)]
    except (StoreUnavailable, LeadershipLost):
        raise
    except Exception as error:
        if len(due) > 1:
            return [made for one in due for made in start_due([one], start)]
        if misses_something(error):
            raise
        log.exception("no run of %s was started", due[0])
        return [start(due, error)]
