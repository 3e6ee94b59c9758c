"""The leading daemon's look each second, which renews its lease as well."""

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from headrace.store.database import Database

# How long an unheard-of worker is believed in. Tests may shorten it; not below the pause
# between two heartbeats.
SILENCE_S = float(os.environ.get("HEADRACE_LEASE_S", "10"))


@dataclass(frozen=True, slots=True)
class Glance:
    """What a look has found.

    `term` is the lease's, `now` PostgreSQL's clock. `busy`: there may be something to do.
    `workers` are names, process ids and birth ticks of those that run on this host.
    """

    term: int
    now: datetime
    busy: bool
    workers: Collection[tuple[str, int, int]]


def glance(
    database: Database, holder: str, lease_s: float, waiting: Collection[str]
) -> Glance | None:
    """Renew the lease and look, in one transaction; None where another daemon holds it.

    `waiting` are the pipelines that wait for others.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    row = database.row(
        "glance",
        holder=holder,
        lease_s=lease_s,
        silence_s=SILENCE_S,
        hostname=socket.gethostname(),
        pipelines=list(waiting),
        most=1,
    )
    if row is None:
        return None
    workers = [(name, pid, ticks) for name, pid, ticks in row["workers"]]
    return Glance(row["term"], row["now"], row["busy"], workers)
