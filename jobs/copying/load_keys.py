"""The keys that jobs which load have in common: how a file is written, and how rows are stored."""

from collections.abc import Mapping
from typing import Any, Literal

from headrace.jobs.copying.write_mode import Mode, Order, WriteMode
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.files.file_formats import Format
from headrace.jobs.tables.expectations import Expected
from headrace.jobs.tables.masks import Mask, MaskGiven, read_masks, salted
from headrace.jobs.tables.row_replacement import ReplaceStrategy
from headrace.jobs.tables.schema_drift import OnSchemaChange


class StoresRows:
    """The part of a job that stores rows in a table; `how` is what its keys say.

    Parameters:
        mode: append to the table's rows; replace them; merge by key (update the rows whose key is
            there, insert the others); or insert_only the rows whose key is not there. But for
            append, the rows are staged first; readers see the old ones until the job commits.
        primary_key: the columns that identify a row in `merge` and `insert_only`; default the
            table's primary key. A row without a value there is an error. A table that `create`
            makes gets this key.
        dedup_sort: which of several rows with one key stays: the first by this order, as in
            `{updated_at: desc}`. Without a value there a row comes last. Default: the last row.
        replace_strategy: how `mode: replace` replaces the rows: insert_from_staging (readers do
            not wait), or truncate_and_insert (faster, but they wait).
        on_schema_change: what to do if there is a column that the table lacks: fail; ignore
            it; append_new_columns; sync_all_columns, which also gives columns the types of
            `columns` and, with `mode: replace`, drops those that are not loaded; recreate, which
            drops the table with its privileges and needs `mode: replace`.
        expect: fail, and save nothing, if the numbers are others: `rows` (those read), as
            in ">0" or "100..200"; `max_delete`, rows or a share of the table's rows that
            `replace` may delete, as in 5%.
    """

    def __init__(
        self,
        *,
        mode: Mode = "append",
        primary_key: str | list[str] | None = None,
        dedup_sort: dict[str, Order] | None = None,
        replace_strategy: ReplaceStrategy = "insert_from_staging",
        on_schema_change: OnSchemaChange = "fail",
        expect: Expected | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.how = WriteMode.read(
            mode,
            replace_strategy=replace_strategy,
            primary_key=primary_key,
            dedup_sort=dedup_sort,
            on_schema_change=on_schema_change,
            expect=expect,
        )


class ReadsCsv:
    """The part of a job that reads files, CSV among them.

    Parameters:
        delimiter: the separator between the columns of a CSV file; default a comma, or a tab for
            tsv.
        header: the first line of a CSV file names the columns.
        null: the text, or a list of texts, that stands for a missing value in a CSV file. An empty
            field in quotes is an empty string, or a missing value if the column's type has no
            empty value.
        quote: the character around a field of a CSV file.
        escape: the character before a quote inside such a field, as a backslash; by default a
            quote is written twice.
        comment: lines that begin with this character are skipped.
        skip_lines: the number of lines (rows of a sheet) before the header.
        decimal: the decimal mark of numbers in a CSV file.
        thousands: the mark between thousands there.
    """

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        *,
        delimiter: str | None = None,
        header: bool = True,
        null: str | list[str] = "",
        quote: str = '"',
        escape: str | None = None,
        comment: str | None = None,
        skip_lines: int = 0,
        decimal: str = ".",
        thousands: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._delimiter = delimiter
        self._form = (
            header,
            (null,) if isinstance(null, str) else tuple(null),
            quote,
            escape,
            comment,
            skip_lines,
            decimal,
            thousands,
        )

    def csv_form(self, format: Format | None) -> CsvForm:  # noqa: A002 - the user's word for it
        """Return what the keys say of files of this format."""
        return CsvForm(self._delimiter or ("\t" if format == "tsv" else ","), *self._form)


class MasksValues:
    """The part of a job that masks values before they reach the table.

    Parameters:
        mask: what to put in place of a column's values before they reach the table: hash, null,
            `partial:4` (only the last characters), `{constant: x}`, or a `fake:name`. As in
            MirrorTable.
        mask_salt: the secret for hash and fake, as `{env: NAME}`, a variable of the worker.
    """

    def __init__(
        self,
        *,
        mask: dict[str, MaskGiven | None] | None = None,
        mask_salt: dict[Literal["env"], str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # YAML has its own null, which says the same as the word.
        given = {name: "null" if one is None else one for name, one in (mask or {}).items()}
        self._masks, self._salt = read_masks(given, mask_salt), mask_salt

    def masks(self) -> Mapping[str, Mask]:
        """Return the masks by column, with the secret of this worker."""
        return salted(self._masks, self._salt)
