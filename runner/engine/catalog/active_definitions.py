"""Stores the definitions that the active daemon runs, to compare them with the files."""

import json
from base64 import b64encode
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from headrace.model.definition import definition
from headrace.model.pipeline import Pipeline
from headrace.model.stored import stored
from headrace.store import queries
from headrace.store.database import Database


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
        self._kept: Mapping[str, Pipeline] = {}
        self._term: int | None = None

    def keep(
        self, pipelines: Mapping[str, Pipeline], term: int, held: Collection[str] = ()
    ) -> bool:
        """Make the table hold these pipelines, if `term` is still the leader's.

        The rows of `held` stay as they are. Returns False where it does already.

        Raises:
            StoreUnavailable: Done again at the next call.
        """
        if pipelines is self._kept and term == self._term:
            return False
        known = self._kept if term == self._term else {}
        changed = [one for name, one in pipelines.items() if known.get(name) is not one]
        self._database.rows(
            "keep_pipelines",
            term=term,
            names=list(pipelines),
            held=list(held),
            changed=json.dumps([_row(one) for one in changed]),
        )
        self._kept, self._term = pipelines, term
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
