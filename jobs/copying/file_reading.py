"""Describes the sources of a load: what every kind of file can be asked for."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Protocol

from headrace.jobs.copying.careful_copy import Careful
from headrace.jobs.copying.name_rules import EVERY_NAME, NameRules
from headrace.jobs.copying.row_intake import Intake
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.value_forms import Rewrite
from headrace.jobs.tables.table_catalog import Column

OpenText = Callable[[], AbstractContextManager[IO[str]]]
"""Opens a text from its beginning."""

Fields = Sequence[Column | None]
"""The column for each field of a record, None where the field is left out."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: their form, the meaning of their names, the formats of values.

    `declared` are the columns of a file without names. `formats` has, by column, how its dates
    are written; `leave_out` drops the keys of records that are not declared.
    """

    form: CsvForm = field(default_factory=CsvForm)
    names: NameRules = EVERY_NAME
    declared: tuple[str, ...] = ()
    formats: dict[str, Rewrite] = field(default_factory=dict)
    all_declared: bool = False
    leave_out: bool = False
    sheet: str | int | None = None


class DataFile(Protocol):
    """A file of some format, or an answer."""

    name: str
    place: str
    """Where its columns stand, as errors call it."""
    names_first: bool
    """Whether its columns are looked up in it; otherwise in the table."""

    def columns(self) -> list[str]:
        """Return the columns that it has, by the names that they get."""

    def copy(self, intake: Intake) -> None:
        """Copy its rows."""

    def careful(self, intake: Intake) -> Careful:
        """Return its rows one by one."""
