"""Starts the runs of several pipelines together, and one by one where that fails."""

import logging
from collections.abc import Callable
from typing import TypeVar

from headrace.errors import LeadershipLost, StoreUnavailable
from headrace.store.outages import misses_something

log = logging.getLogger("headrace.daemon")

_Started = TypeVar("_Started")


def start_due(
    due: list[str], start: Callable[[list[str], Exception | None], _Started]
) -> list[_Started]:
    """Have `start` begin the runs of the pipelines named in `due`, and return what it has started.

    One whose runs cannot be stored must not keep the others from theirs: `start` is called once
    more for it alone, with the error, to pass over its runs and tell.

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
            return [one for name in due for one in start_due([name], start)]
        if misses_something(error):
            raise
        log.exception("no run of %s was started", due[0])
        return [start(due, error)]
