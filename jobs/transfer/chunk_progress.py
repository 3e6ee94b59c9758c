"""Remembers how far a load in chunks has come, in the target's database, with each chunk."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import find_table
from headrace.jobs.transfer.watermark import RECORD

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def chunks_reached(session: "Session", table: str, job: str) -> list[str] | None:
    """Return how far an earlier attempt of a job has come that loads in chunks.

    Raises:
        JobFailure: it cannot be remembered.
    """
    RECORD.make(session)
    target = find_table(session, table)
    if target is None:
        return None
    statement = packaged_sql("chunk_reached", target=target.sql.display, source=_chunks_of(job))
    found = execute(session, statement).scalar()
    return None if found is None else list(json.loads(found))


def keep_chunks(session: "Session", table: str, job: str, end: Sequence[str] | None) -> None:
    """Remember how far a job that loads in chunks has come, None: to the end."""
    target = find_table(session, table)
    assert target is not None, "its rows are there"
    name, source = target.sql.display, _chunks_of(job)
    if end is None:
        execute(session, packaged_sql("forget_chunks", target=name, source=source))
        return
    execute(
        session,
        packaged_sql(
            "keep_watermark", target=name, source=source, column="", value=json.dumps(list(end)),
            oldest=0, place="",
        ),
    )  # fmt: skip


def _chunks_of(job: str) -> str:
    return f"chunks of job {job}"
