"""DuckDB by its own library."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.errors import JobFailure, RefusedSql
from headrace.store.others.file_urls import file_of
from headrace.store.others.line import Answer, Line

_LOOK_EVERY_S = 0.05


class DuckdbLine(Line):
    """A connection to a file. The library locks it for the process until the line is closed."""

    kind = "duckdb"
    module = "duckdb"
    make_ledger = """
        CREATE TABLE IF NOT EXISTS headrace_ledger (
            job_id UUID PRIMARY KEY,
            attempt INTEGER NOT NULL,
            applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
        )"""

    _type: Any = None

    def bound(self, value: Any) -> Any:
        """Return it as it is: the library takes all values of templates."""
        return value

    def ended_inside(self) -> bool:
        """See `Line`."""
        return bool(self._marked() != self._mark)

    def _connected(self, *, read_only: bool) -> Any:
        path = file_of(self.connection.url, self.name)
        if read_only and not Path(path).exists():
            raise JobFailure(f"{self.name} (DuckDB): there is no file {path}")
        # SQL reaches no other file and loads no extension.
        options = {"enable_external_access": "false"}
        give_up = time.monotonic() + self.wait_s
        while True:
            try:
                raw = self.driver.connect(path, read_only=read_only, config=options)
                raw.execute("SET TimeZone = 'UTC'; SET lock_configuration = true")
            except self.driver.IOException as error:
                locked = "lock" in str(error)
                if not locked or (self.wait_s and time.monotonic() > give_up):
                    raise
                time.sleep(_LOOK_EVERY_S)
            else:
                return raw

    def _begin(self, *, read_only: bool) -> None:
        del read_only  # The file is opened so.
        self._plain("BEGIN TRANSACTION")

    def _marked(self) -> Any:
        return self._plain("SELECT txid_current()").fetchone()[0]

    def _send(self, texts: Sequence[str], values: list[Any], *, stream: bool) -> Any:
        del stream  # Its rows come in pieces in any case.
        text = "?".join(texts)
        statements = self.driver.extract_statements(text)
        if len(statements) != 1:
            # The library would run them all.
            raise RefusedSql(f"one statement is wanted here, not {len(statements)}")
        self._type = statements[0].type
        return self._raw.execute(text, values)

    def _plain(self, text: str) -> Any:
        # A cursor would be another connection, with a transaction of its own.
        return self._raw.execute(text)

    def _insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
        # One list for each column: row by row the library takes milliseconds for each.
        lists = [list(values) for values in zip(*rows, strict=True)]
        values = ", ".join(["unnest(?)"] * len(columns))
        self._raw.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values}", lists)

    def _answer(self, cursor: Any) -> Answer:
        # What changes rows, or nothing at all, answers with a column "Count", too.
        columns = [one[0] for one in cursor.description or ()]
        if cursor.rowcount < 0 and (columns != ["Count"] or self._type.name == "SELECT"):
            return Answer(columns, self._fetched(cursor), -1)
        return Answer(None, iter(()), max(0, cursor.rowcount))

    def failure(self, error: Exception) -> str:
        """Tell what to do about a lock, too."""
        told = super().failure(error)
        if "set lock on file" in told:
            told += (
                "; DuckDB lets one process at a time have the file: give the steps that use it a"
                " pool with one slot, or a longer lock_timeout"
            )
        return told
