"""Stores the definitions that the active daemon runs, to compare them with the files."""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from headrace.model.definition import definition
from headrace.model.pipeline import Pipeline
from headrace.model.stored import stored
from headrace.store import queries
from headrace.store.database import Database

# To write them takes some tenths of a second.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Running:
    """One pipeline as the leading daemon runs it. `file` is the path as the daemon shows it."""

    name: str
    version: str
    definition: Mapping[str, Any]
    file: str
    loaded_at: datetime


class InForce:
    """Stores the definitions that a daemon has active; if nothing has changed, it does nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # What is declared was stored as far as `_kept` goes.
        self._declared: Mapping[str, Pipeline] = {}
        self._kept: Mapping[str, Pipeline] = {}
        self._term: int | None = None

    def keep(
        self, pipelines: Mapping[str, Pipeline], term: int, held: Collection[str] = ()
    ) -> bool:
        """Make the table hold these pipelines, if `term` is still the leader's.

        The rows of `held` stay as they are. Returns False where it does already, or the
        lease has expired: nothing is stored then. One call stores
        some hundreds: thousands would take longer than the leader's lease; the next call goes on.

        Raises:
            StoreUnavailable: Done again at the next call.
        """
        is_stored = len(self._kept) == len(pipelines)
        if pipelines is self._declared and is_stored and term == self._term:
            return False
        known = self._kept if term == self._term else {}
        kept = {name: one for name, one in pipelines.items() if known.get(name) is one}
        left = (one for name, one in pipelines.items() if name not in kept)
        changed = list(islice(left, _AT_ONCE))
        (done,) = self._database.rows(
            "keep_pipelines",
            term=term,
            names=list(pipelines),
            held=list(held),
            changed=json.dumps([_row(one) for one in changed]),
        )
        if not done["leads"]:
            # The same term may be led on after its lease was renewed: nothing counts as stored.
            return False
        self._kept = kept | {one.name: one for one in changed}
        self._declared, self._term = pipelines, term
        return True


def _row(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "version": pipeline.version,
        "definition": definition(pipeline),
        "file": pipeline.file,
        "source": b64encode(pipeline.source).decode() if pipeline.source else None,
        "built": b64encode(stored(pipeline)).decode(),
    }


def running(database: Database) -> dict[str, Running] | None:
    """Return what the leading daemon runs by name, or None where no daemon is up.

    Raises:
        StoreUnavailable: PostgreSQL does not answer.
    """
    leader = database.row(queries.LEADER)
    if not leader or not leader["live"]:
        return None
    return {row["name"]: Running(**row) for row in database.rows("kept_pipelines")}
