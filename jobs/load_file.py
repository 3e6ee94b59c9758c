"""LoadFile: files of many formats into a table."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi.outbound.urls import without_query
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, IN_SQL, CheckedJob
from headrace.jobs.copying.declared_columns import Columns
from headrace.jobs.copying.file_reading import DataFile
from headrace.jobs.copying.load_forecast import of_load
from headrace.jobs.copying.load_keys import MasksValues, ReadsCsv, StoresRows
from headrace.jobs.copying.load_metadata import Metadata, MetadataName
from headrace.jobs.copying.loaded_files import LoadedFiles
from headrace.jobs.copying.name_rules import NameRules, Normalize
from headrace.jobs.copying.other_load import OtherLoad
from headrace.jobs.copying.rejected_rows import OnError, Rejects
from headrace.jobs.copying.source_files import data_file, find_sources, is_pattern
from headrace.jobs.copying.table_load import TableLoad
from headrace.jobs.files.atomic_files import to_read
from headrace.jobs.files.file_formats import Format, format_by_name
from headrace.jobs.files.text_files import FileSource, codec_of
from headrace.jobs.http.downloaded_file import downloaded, is_url, refuse_url
from headrace.jobs.others.statements import run_other
from headrace.jobs.remote.locations import is_remote
from headrace.jobs.remote.remote_files import fetched, refuse_remote
from headrace.jobs.statements.previews import ALL_COLUMNS
from headrace.jobs.statements.user_sql import run_statements, written_script
from headrace.jobs.tables.row_forecast import Looking
from headrace.model.connection import PRODUCTS
from headrace.model.forecast import Forecast
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Around = Literal["pre_sql", "post_sql"]


def _looked_up(path: str) -> None:
    """Look a path up for reading; a pattern's files may come later."""
    if is_url(path):
        refuse_url(path)
    elif is_remote(path):
        refuse_remote(path)
    elif not is_pattern(path):
        to_read(path)


class LoadFile(StoresRows, ReadsCsv, MasksValues, CheckedJob):
    """Load files into a table, streamed, all of them or nothing.

    A row that does not fit fails the job with its file and line. Every record is accounted for:
    the job fails if PostgreSQL stored fewer rows than were read. The result is
    `{row_count, table, files}`; for `merge` and `insert_only` it also has `inserted`, `updated`
    and `duplicates`.

    Parameters:
        path: the file; a folder, which means the files in it; or a pattern such as
            `orders/*.csv.zst` (`**` for folders at any depth). Files are loaded in the order of
            their names. Compressed files (gzip, zstd, bzip2, xz, zip) are recognised by their
            content. A relative path is searched beside the pipeline, in the pipelines folder, and
            in the output folders. An https:// (or http://) address is downloaded first; its host
            must be one of `http.allowed_hosts` in `config.yaml`, and `${NAME}` in it names a
            variable of the worker's environment. `s3://`, `gs://`, `az://` and `sftp://` paths,
            patterns and folders are fetched first; `storage` in `config.yaml` must list the place.
        table: the table, with its schema.
        format: csv, tsv, json (one document that is a list of objects), jsonl (one JSON object per
            line), parquet or xlsx (any spreadsheet). Default: what the content shows, otherwise
            the name, otherwise csv.
        create: create the table if it is missing.
        infer_types: give the columns of a table that `create` makes the narrowest types that hold
            all their values, instead of text, except where `columns` gives a type. Numbers with
            marks of another language (`decimal`, `thousands`) stay text. The result's `types` lists
            them.
        columns: the file's columns: a list of names, or a mapping of names to types, which
            `create` uses (text if none is given) and an existing table must have; a type may be
            `{type: date, format: DD.MM.YYYY}`. If there is a header, it is matched by name, in any
            order, and a mapping need not name all columns; otherwise the order counts. Default:
            the header, or the table's columns for which JSON records have keys.
        select: the columns to take, as a list of `name`, `-name` (all but this one) and
            `old as new`; only with a header.
        normalize_names: snake_case makes `order_id` of a header `Order ID`.
        encoding: the encoding of a text file, such as latin1 or windows-1252; default UTF-8, or
            what its byte order mark says.
        sheet: the sheet of a spreadsheet, by name or by number from 1. What stands beside the last
            column that has a name is left out, with a warning.
        metadata: columns to add that say where a row comes from: _loaded_at, _file, _line,
            _run_id. The table gets those that it lacks.
        new_files_only: load each file once per table: its content decides. What was loaded is
            recorded in `headrace.loaded_file` of the target's database, together with the rows.
        pre_sql: SQL to run before the rows are loaded, in the same transaction.
        post_sql: SQL to run after that, in the same transaction.
        on_error: set rows aside that cannot be stored, as in
            `{reject_table: raw.order_reject, limit: 1%}`. The table (created if it is missing) gets
            file, line, column, reason and the text of each; it keeps them if the job fails, and a
            retry replaces them. More than `limit` rows, or a share of all rows, fail the job.
    """

    paths: ClassVar = {"path": _looked_up}
    referring: ClassVar[tuple[str, ...]] = ("path",)
    other_databases: ClassVar[tuple[str, ...]] = ("connection",)
    result_keys: ClassVar = {
        "row_count": int,
        "inserted": int,
        "updated": int,
        "duplicates": int,
        "table": str,
        "files": int,
        "rejected": int,
        "types": dict,
        **CHECK_RESULT,
    }
    in_sql: ClassVar[tuple[str, ...]] = ("pre_sql", "post_sql", *IN_SQL)
    tables_written = ("table",)
    tables_made = ("table",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        path: str,
        table: str,
        *,
        format: Format | None = None,  # noqa: A002 - the user's word for it
        create: bool = False,
        infer_types: bool = False,
        columns: Columns | None = None,
        select: list[str] | None = None,
        normalize_names: Normalize = "none",
        encoding: str | None = None,
        sheet: str | int | None = None,
        metadata: list[MetadataName] | None = None,
        new_files_only: bool = False,
        pre_sql: str | None = None,
        post_sql: str | None = None,
        on_error: OnError | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path, self.table, self.encoding = path, table, encoding
        name = without_query(path) if is_url(path) else path
        self.format, self._declared = format or format_by_name(name), format
        codec_of(encoding or "utf-8")
        form, rules = self.csv_form(self.format), NameRules.read(select, normalize_names)
        self._load = TableLoad(
            name, table, self.how, create, columns, form, rules,
            sheet=sheet, metadata=Metadata(tuple(metadata or ())), infer_types=infer_types,
        )  # fmt: skip
        self._load.check()
        self.pre_sql, self.post_sql = pre_sql, post_sql
        self._rejects = Rejects.read(on_error, self.aside)
        self._records = LoadedFiles(table, name) if new_files_only else None
        self.refuse_checks_of(table)

    def handle(self) -> dict[str, Any]:
        with self._sources() as sources:
            return self._handled(sources)

    @contextmanager
    def _sources(self) -> Iterator[list[FileSource]]:
        if is_remote(self.path):
            with fetched(self.path) as sources:
                yield sources
            return
        if not is_url(self.path):
            yield find_sources(self.path)
            return
        with downloaded(self.path) as (name, path):
            yield [FileSource.at(path, name)]

    def _handled(self, sources: list[FileSource]) -> dict[str, Any]:
        if not sources and self._records is None:
            raise JobFailure(
                f"{self._load.name}: no file matches, and none is in a folder of this name"
            )
        logger.info("Loading %s into %s", self._load.name, self.table)
        if self.kind_of(self.connection) != "postgresql":
            return self._handled_other(sources)
        with self.session() as session:
            if self._records is not None:
                sources = self._records.new_ones(session, sources)
            result = self._stored(session, sources) if sources else self._nothing_new()
        logger.info("Loaded %s: %s", self.table, result)
        if self._rejects is not None and sources:
            result["rejected"] = self._rejects.count
        return self.judged({**result, "files": len(sources)}, self.table)

    def _handled_other(self, sources: list[FileSource]) -> dict[str, Any]:
        self._refuse_for_others()
        attempt = jobapi.current()
        with attempt.other(self.connection or "") as database, attempt.session(None) as session:
            run_other(database, self._around("pre_sql"), keep=0)
            files = [self._file(one) for one in sources]
            loaded = OtherLoad(self._load, database).run(session, files, self.masks())
            run_other(database, self._around("post_sql"), keep=0)
        result = loaded.result(self.table)
        logger.info("Loaded %s: %s", self.table, result)
        return self.judged({**result, "files": len(sources)}, self.table)

    def rehearse(self) -> None:
        self._refuse_for_others()
        super().rehearse()

    def _refuse_for_others(self) -> None:
        kind = self.kind_of(self.connection)
        if kind == "postgresql":
            return
        for name, given in (
            ("on_error", self._rejects is not None),
            ("new_files_only", self._records is not None),
            ("on_schema_change", self.how.on_schema_change != "fail"),
            ("replace_strategy", self.how.strategy != "insert_from_staging"),
        ):
            if given:
                raise InvalidPayload(
                    f"{name} does not work in {PRODUCTS[kind]}, only in PostgreSQL"
                )

    def _stored(self, session: "Session", sources: list[FileSource]) -> dict[str, Any]:
        files = [self._file(one) for one in sources]
        self._run(session, "pre_sql")
        sizes = [one.size_bytes for one in sources]
        jobapi.meter().expect(None if None in sizes else sum(one or 0 for one in sizes))
        loaded = self._load.run(session, files, self._rejects, self.masks())
        self._run(session, "post_sql")
        if self._records is not None:
            self._records.note(session)
        return loaded.result(self.table)

    def _nothing_new(self) -> dict[str, Any]:
        """Hold what the step says of its rows and its table against no rows."""
        logger.info("%s: there is no new file", self._load.name)
        self.how.expect.check_rows(0, self.table)
        return {"row_count": 0, "table": self.table}

    def _run(self, session: "Session", key: Around) -> None:
        for statement in self._around(key):
            run_statements(session, [statement])

    def _around(self, key: Around) -> list[RenderedSql]:
        sql: str | None = getattr(self, key)
        return [] if sql is None else written_script(sql, key)

    def _file(self, source: FileSource) -> DataFile:
        return data_file(source, self._declared, self.encoding, self._load.reading)

    def forecast(self) -> Forecast:
        with self._sources() as sources, self.session() as session:
            if not sources and self._records is None:
                raise JobFailure(f"{self._load.name}: no file matches")
            found = of_load(
                Looking(self, self.connection, session),
                self._load,
                sources,
                records=self._records,
                opened=self._file,
                masks=self.masks(),
            )
        notes = [
            f"{name} is not run here"
            for name in ("pre_sql", "post_sql")
            if getattr(self, name) is not None
        ]
        return replace(found, notes=(*found.notes, *notes))

    def preview(self) -> Iterator[Preview]:
        is_json = self.format in ("json", "jsonl")
        columns, note = self._load.known_columns(names_first=not is_json), ""
        if columns is None:
            columns, note = self._columns_of_the_files()
        for statement in self._around("pre_sql"):
            yield Preview(statement, self.connection)
        if self.kind_of(self.connection) == "postgresql":
            yield from self._load.preview(columns, self.connection, note, is_csv=not is_json)
        for statement in self._around("post_sql"):
            yield Preview(statement, self.connection, unexplained="it follows what the step writes")
        yield from self.check_previews(self.table)

    def _columns_of_the_files(self) -> tuple[list[str], str]:
        try:
            is_away = is_url(self.path) or is_remote(self.path)
            found = [] if is_away else find_sources(self.path)
            files = [self._file(one) for one in found[:1]]
            columns = files[0].columns() if files else []
        except (OSError, ValueError, JobFailure):
            columns = []
        if not columns:
            return ALL_COLUMNS, f"the columns are read from {self._load.name}"
        return columns, f"the columns are those that {self.path} has now"
