"""Advances a run after a completion: releases dependants, finishes runs, fills slots of pools."""

import logging
from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from uuid import UUID

from headrace.engine.gating.gate import decide, recount_dependants
from headrace.engine.gating.pools import assign_slots, assign_slots_of
from headrace.engine.gating.run_completion import Store, after_finish
from headrace.queue.message import Message
from headrace.store.attempts import Claimed, Completed, CompletedBatch
from headrace.store.row_types import EndedRun

log = logging.getLogger("headrace.worker")


class RunProgress:
    """Does what the completing statement has left open, in transactions of its own.

    `finish` runs the statement `finish_run` for one run and returns its rows. What a crash leaves
    undone is made up for by the daemon's sweep.
    """

    def __init__(self, store: Store, finish: Callable[[UUID], Sequence[EndedRun]]) -> None:
        self._store = store
        self._finish = finish

    def release_dependants(
        self, ended: Iterable[UUID], completed: Completed | CompletedBatch
    ) -> list[Message]:
        """Release the dependants that the completion of these jobs has left open.

        Returns messages to send.
        """
        released = list(starmap(Message, completed.released))
        if completed.recount:
            for job_id in ended:
                with self._store.transaction() as tx:
                    released += recount_dependants(tx, job_id)
        if completed.undecided:
            with self._store.transaction() as tx:
                messages, runs = decide(tx, completed.undecided)
            released += messages
            for run_id in runs:
                released += self._finish_run(run_id)
            released += assign_slots(self._store)
        return released

    def finish_run(self, claimed: Claimed) -> list[Message]:
        """Finish the run if this was its last job, after the commit; returns messages to send.

        A slot of a pool that the job had is free now, too.
        """
        messages: list[Message] = []
        if claimed.pool is not None and claimed.pool_slots is not None:
            messages += assign_slots_of(self._store, claimed.pool, claimed.pool_slots)
        return messages + self.finish_runs([claimed.run_id])

    def finish_runs(self, run_ids: Iterable[UUID | None]) -> list[Message]:
        """Finish each of these runs of which nothing is left; see `finish_run`."""
        messages: list[Message] = []
        for run_id in dict.fromkeys(run_ids):
            if run_id is not None:
                messages += self._finish_run(run_id)
        return messages

    def _finish_run(self, run_id: UUID) -> list[Message]:
        finished, messages = after_finish(self._store, self._finish(run_id))
        for run in finished:
            log.log(
                logging.INFO if run["status"] == "completed" else logging.WARNING,
                "run %s of %s %s",
                run["id"],
                run["pipeline"],
                run["status"],
            )
        return messages
