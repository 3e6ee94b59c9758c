"""Pools: how many jobs run at a time, in all runs together or of one step with a foreach."""

from headrace.engine.gating.gate import message_for
from headrace.engine.gating.run_completion import Store
from headrace.queue.message import Message
from headrace.store import queries


def assign_slots(store: Store) -> list[Message]:
    """Give jobs that have passed the gate the free slots of their pools.

    To be called after the commit that let them pass; the daemon does it every second. Returns
    messages to send.
    """
    messages: list[Message] = []
    for row in store.rows(queries.WANTED_POOLS):
        messages += assign_slots_of(store, row["pool"], row["slots"])
    return messages


def assign_slots_of(store: Store, pool: str, slots: int) -> list[Message]:
    """Do the same for one pool of so many slots, after the commit that freed one."""
    with store.transaction() as tx:
        tx.rows("lock_pool", pool=pool)
        return [message_for(job) for job in tx.rows(queries.ASSIGN_SLOTS, pool=pool, slots=slots)]
