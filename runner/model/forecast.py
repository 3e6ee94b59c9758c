"""Describes what a load would change if it ran now, as `headrace plan --data` shows it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TableForecast:
    """The changes of one table; None stands for a number that only the run knows.

    `restore` counts rows whose mark of deletion would be taken away, None where there is none.
    `changes` describes what else would happen to the table itself.
    """

    table: str
    insert: int | None = None
    update: int | None = None
    delete: int | None = None
    restore: int | None = None
    creates: bool = False
    add_columns: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "table": self.table,
            "insert": self.insert,
            "update": self.update,
            "delete": self.delete,
            "restore": self.restore,
            "creates": self.creates,
            "add_columns": list(self.add_columns),
            "changes": list(self.changes),
        }


@dataclass(frozen=True, slots=True)
class FileForecast:
    """A file that would be read; `skipped` says why it would not be."""

    name: str
    size_bytes: int | None = None
    skipped: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {"name": self.name, "size_bytes": self.size_bytes, "skipped": self.skipped}


@dataclass(frozen=True, slots=True)
class Forecast:
    """The changes of one job: tables, and the files that it would read.

    `read` is the number of rows that would come, `notes` what the numbers leave out, `fails` why
    the job would fail although they are known.
    """

    tables: tuple[TableForecast, ...] = ()
    files: tuple[FileForecast, ...] = ()
    read: int | None = None
    notes: tuple[str, ...] = ()
    fails: str | None = None
