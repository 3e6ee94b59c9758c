"""Remembers which files were loaded into which table, in the database where the table is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace import jobapi
from headrace.jobapi import logger
from headrace.jobs.copying.source_files import Digest, digest_of
from headrace.jobs.files.text_files import FileSource
from headrace.jobs.sql.packaged import execute, packaged_sql
from headrace.jobs.tables.record_table import RecordTable
from headrace.jobs.tables.staging_table import lock_name
from headrace.jobs.tables.table_catalog import find_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


RECORD = RecordTable("loaded_file", "create_loaded_file", "record which files were loaded")


@dataclass(slots=True)
class LoadedFiles:
    """The record of the files that were loaded into `table`.

    The content decides: a file whose path was loaded with another content is new, and one whose
    content was loaded from another path is not.
    """

    table: str
    path: str
    _new: list[tuple[str, Digest]] = field(default_factory=list)

    def new_ones(self, session: "Session", sources: Sequence[FileSource]) -> list[FileSource]:
        """Return the files that were not loaded yet; no other job loads any into the table.

        Raises:
            JobFailure: the record cannot be made or used.
        """
        RECORD.make(session)
        # Held until the end: a second load into the table waits, and then sees them recorded.
        lock_name(session, self.table)
        found: list[FileSource] = []
        known: dict[str, str] = {}
        for source in sources:
            digest = digest_of(source)
            earlier = known.get(digest.sha256) or self._earlier(session, digest)
            if earlier is None:
                known[digest.sha256] = source.name
                self._new.append((source.name, digest))
                found.append(source)
            elif earlier == source.name:
                logger.info("%s was loaded before", source.name)
            else:
                logger.warning(
                    "%s is not loaded: its content was loaded before, from %s", source.name, earlier
                )
        return found

    def known_ones(
        self, session: "Session", sources: Sequence[FileSource]
    ) -> list[tuple[FileSource, Digest, str | None]]:
        """Return each file with its digest and the path from which it was loaded, if it was.

        Nothing is held or made.
        """
        recorded = find_table(session, RECORD.written) is not None
        known: dict[str, str] = {}
        found = []
        for source in sources:
            digest = digest_of(source)
            earlier = known.get(digest.sha256)
            if earlier is None and recorded:
                earlier = self._earlier(session, digest)
            known.setdefault(digest.sha256, source.name)
            found.append((source, digest, earlier))
        return found

    def note(self, session: "Session") -> None:
        """Record the files that were loaded, in the transaction of their rows."""
        run = jobapi.current().run_id
        for path, digest in self._new:
            execute(
                session,
                packaged_sql(
                    "note_loaded_file",
                    table=self.table,
                    path=path,
                    size=digest.size_bytes,
                    sha256=digest.sha256,
                    run_id=run,
                ),
            )

    def _earlier(self, session: "Session", digest: Digest) -> str | None:
        statement = packaged_sql("earlier_loaded_file", table=self.table, sha256=digest.sha256)
        found = execute(session, statement).scalar()
        return None if found is None else str(found)
