"""Dispatches many jobs of one class at a time: what they share is sent once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.model import exact_json
from headrace.model.ids import new_ids
from headrace.model.job_parameters import stored
from headrace.queue.sender import Sender
from headrace.store.database import Database

# Jobs of one statement: its JSON stays far below what PostgreSQL takes as one value.
_A_STATEMENT = 20_000


def insert_many(
    database: Database, shared: Mapping[str, Any], payloads: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Insert jobs that differ in nothing but their payloads, all of them or none.

    Returns their ids, in order. `shared` has class, queue, timeout and retry policy.

    Raises:
        StoreUnavailable: PostgreSQL does not answer; nothing was inserted.
    """
    ids = new_ids(len(payloads))
    with database.transaction() as tx:
        for start in range(0, len(ids), _A_STATEMENT):
            part = slice(start, start + _A_STATEMENT)
            tx.rows(
                "insert_many_jobs",
                # An array's text: as a list, each id would be quoted by itself.
                ids=f"{{{','.join(ids[part])}}}",
                payloads=exact_json.dumps(payloads[part], default=stored),
                job_class=shared["job_class"],
                queue=shared["queue"],
                timeout_s=shared["timeout_s"],
                retry=shared["retry"],
            )
    return ids


def sending_many(
    sender: Sender, shared: Mapping[str, Any], ids: Sequence[str]
) -> Callable[[], None]:
    """Return what sends the first messages of these jobs."""
    return lambda: sender.send_first(shared["queue"], shared["timeout_s"], ids)
