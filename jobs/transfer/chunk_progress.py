"""Remembers how far a load in chunks has come, in the target's database, with each chunk."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import find_table
from headrace.jobs.transfer.watermark import RECORD

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_CHUNKS = "chunks"


def chunks_reached(session: "Session", table: str, job: str) -> list[str] | None:
    """Return how far an earlier attempt of a job has come that loads in chunks.

    Raises:
        JobFailure: it cannot be remembered.
    """
    RECORD.make(session)
    target = find_table(session, table)
    if target is None:
        return None
    statement = packaged_sql("chunk_reached", target=target.sql.display, source=_CHUNKS)
    found = json.loads(execute(session, statement).scalar() or "{}")
    return list(found["end"]) if found.get("job") == str(job) else None


def keep_chunks(session: "Session", table: str, job: str, end: Sequence[str] | None) -> None:
    """Remember how far a job that loads in chunks has come, None: to the end.

    One row a target: a job finds its own there, or begins anew.
    """
    target = find_table(session, table)
    assert target is not None, "its rows are there"
    reached = None if end is None else json.dumps({"job": str(job), "end": list(end)})
    execute(
        session,
        packaged_sql(
            "keep_watermark",
            target=target.sql.display,
            source=_CHUNKS,
            column="",
            value=reached,
            oldest=0,
            place="",
        ),
    )
