"""Moves sequences past the values that were loaded, so that the next insert does not collide."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.jobapi import logger
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.table_catalog import Table
from headrace.template import RenderedSql, quote_name

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def advance_sequences(session: "Session", target: Table, columns: Sequence[str]) -> None:
    """Move the sequences behind these columns of a table past the greatest value there.

    Those are the sequences of identity and serial columns and of defaults that call `nextval`.
    They move forward only. One that the session's role may not move is named in the job's log.
    """
    statement = packaged_sql("sequences_of", oid=target.oid, columns=list(columns))
    for row in execute(session, statement).mappings().all():
        sequence = f"{quote_name(row['schema'])}.{quote_name(row['name'])}"
        if not row["movable"]:
            logger.warning(
                "The sequence %s was not moved past the values of %s.%s: GRANT SELECT, UPDATE ON "
                "SEQUENCE %s TO %s, or the next insert there may collide",
                sequence, target.written, row["column"], sequence, quote_name(target.role),
            )  # fmt: skip
            continue
        moved = execute(
            session,
            packaged_sql(
                "advance_sequence",
                oid=row["oid"],
                sequence=RenderedSql(sequence, {}),
                table=target.sql,
                column=row["column"],
                descending=row["descending"],
                last=row["last"],
            ),
        ).scalar()
        if moved is not None:
            logger.info("The sequence %s continues after %d", sequence, moved)
