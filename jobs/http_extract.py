"""HttpExtract: rows from an HTTP API into a table, or an answer into a file."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal, cast

from headrace import jobapi
from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi.outbound.allowed_hosts import AllowedHosts
from headrace.jobapi.outbound.urls import with_query, without_query
from headrace.jobs.base import logger
from headrace.jobs.checks.checked_job import CHECK_RESULT, CheckedJob
from headrace.jobs.copying.csv_file import CsvFile
from headrace.jobs.copying.declared_columns import Columns
from headrace.jobs.copying.file_reading import DataFile
from headrace.jobs.copying.json_file import JsonFile
from headrace.jobs.copying.load_keys import StoresRows
from headrace.jobs.copying.row_intake import Loaded
from headrace.jobs.copying.table_load import TableLoad
from headrace.jobs.files.atomic_files import to_write, written_whole
from headrace.jobs.files.csv_form import CsvForm
from headrace.jobs.http.answer_body import (
    records_of,
    refuse_no_file,
    refuse_no_rows,
    text_of,
    undecodable,
)
from headrace.jobs.http.asking import AsksServers
from headrace.jobs.http.pages import PageForm, read_pages
from headrace.jobs.http.request import Answer, Request, refuse_request
from headrace.jobs.http.request_headers import refuse_headers, with_defaults
from headrace.jobs.http.request_values import Scalar, body_of, query_pairs
from headrace.jobs.tables.table_catalog import unquoted, writable_table
from headrace.jobs.transfer.request_watermark import AskedGiven, AskedSince, RequestWatermark

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_IN_MEMORY_BYTES = 8_000_000
_WANTED = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}


class HttpExtract(AsksServers, StoresRows, CheckedJob):
    """Load rows from an HTTP API into a table, all of them or nothing, or store them in a file.

    It connects only to hosts of `http.allowed_hosts` in `config.yaml`, by default none. In `url`,
    `query`, `headers`, `body` and `auth`, `${NAME}` names a variable of the worker's environment,
    for secrets. The result is `{row_count, table}`, with `paginator` also `pages`, or
    `{size_bytes, path}`. A repeated attempt sends the requests again.

    Only a complete answer counts. An answer fails the job if it is shorter than its stated length,
    lacks its last chunk, or is compressed (gzip, deflate) and ends before its end mark; also if it
    is not data: any status other than 200, 201 and 203 (206 counts if a header Range asks for a
    part), an HTML page, or a JSON object instead of a list that has none of the columns. With
    `mode: replace`, an empty answer (204, or no CSV and no JSON at all) does not replace the rows;
    an empty list does.

    Parameters:
        url: the address to request, http or https.
        into: the table for the rows, with its schema.
        path: a file for the answer instead, below `output_folders` (by default
            `exports/` beside the pipelines folder); missing folders are created. It is written
            decompressed, or as gzip if its name ends in `.gz`.
        method: GET or POST. Redirects are followed for GET, at most five.
        query: parameters to add to the URL as `?name=value`, after those that it already has; a
            list repeats its name.
        headers: additional headers; their names are compared without case. After a redirect to
            another host, only Accept, Accept-Language and User-Agent are sent.
        body: for POST: a mapping or list, which is sent as JSON, or a text.
        records: the path of the rows in a JSON document, as `data.items` (a key may itself contain
            dots; null there means no rows); by default the document is the list of rows, or one
            object that has a column of `columns`. A JSON document is held in memory.
        create: create the table if it is missing.
        columns: the columns: a list of names, or a mapping of names to types, which `create`
            uses. Other keys of JSON records are ignored; a column that no record has is an error,
            one that only some lack takes the table's default there. Default: the header of a CSV;
            for JSON records, the table's columns for which they have keys, or all keys if the
            table is created.
        delimiter: the separator between the columns of a CSV.
        null: the text that stands for a missing value in a CSV.
        max_mb: the greatest size of the answer, of all pages together, decompressed, in MB.
        incremental: ask only for what is new: `{cursor: updated_at, start_param: since}`. The
            greatest value of the column `cursor` is kept with the rows, in their transaction; the
            next run adds it to the query as `start_param`. `initial_value` is where to begin;
            `lag`, as in 10m, asks for a window before that value again, for rows that come late.
            Needs `mode: merge` or `insert_only`, and JSON.
    """

    paths: ClassVar = {"path": to_write}
    result_keys: ClassVar = {
        "row_count": int,
        "inserted": int,
        "updated": int,
        "duplicates": int,
        "table": str,
        "size_bytes": int,
        "path": str,
        "pages": int,
        **CHECK_RESULT,
    }

    referring: ClassVar[tuple[str, ...]] = ("url", "query", "headers", "body", "auth")
    tables_written = ("into",)
    tables_made = ("into",)

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        url: str,
        *,
        into: str | None = None,
        path: str | None = None,
        method: Literal["GET", "POST"] = "GET",
        query: dict[str, Scalar | list[Scalar]] | None = None,
        body: dict[str, Any] | list[Any] | str | None = None,
        records: str | None = None,
        create: bool = False,
        columns: Columns | None = None,
        delimiter: str = ",",
        null: str = "",
        max_mb: int = 100,
        incremental: AskedGiven | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _require((into is None) != (path is None), "HttpExtract takes either into or path")
        _require(records is None or self.format == "json", "records needs format: json")
        _require(into is not None or self.paginator is None, "paginator needs into")
        self.refuse_body(method, body)
        _require(max_mb >= 1, "max_mb must be at least 1")
        self.url, self.method, self.query, self.body = url, method, query or {}, body
        self.path, self.records, self.max_mb = path, records, max_mb
        refuse_headers(self.headers)
        self._load = TableLoad(
            without_query(url),
            into or "",
            self.how,
            create,
            columns,
            CsvForm(delimiter, null=(null,)),
            leave_out=self.format != "csv",
        )
        self._load.check()
        self._watermark = self._since(AskedSince.read(incremental), into)
        _require(into is not None or not self.checks, "checks judge the rows of `into`")
        self.refuse_checks_of(into)

    def _since(self, since: AskedSince | None, into: str | None) -> RequestWatermark | None:
        if since is None:
            return None
        _require(self.format != "csv" and into is not None, "incremental needs into, and JSON")
        _require(
            self.how.mode in ("merge", "insert_only"),
            "incremental needs mode: merge or insert_only: what stands at the boundary between two "
            "runs comes twice",
        )
        return RequestWatermark.of(since, into or "", self.url, self.query, self.body)

    def handle(self) -> dict[str, Any]:
        name = self._load.name
        logger.info("Asking %s %s", self.method, name)
        if self.path is not None:
            with written_whole(jobapi.current().output_path(self.path)) as file:
                answer = self._fetch(file)
                refuse_no_file(answer, name, self.path)
            logger.info("Wrote %d bytes to %s", answer.size_bytes, self.path)
            return {"size_bytes": answer.size_bytes, "path": self.path}
        # All of it first: no transaction stands open while a server takes its time.
        with SpooledTemporaryFile(_IN_MEMORY_BYTES) as file_:
            result = self._into_table(cast("IO[bytes]", file_))
        logger.info("Loaded %s: %s", self._load.table, result)
        return self.judged(result, self._load.table)

    def _into_table(self, spool: IO[bytes]) -> dict[str, Any]:
        name = self._load.name
        if self.paginator is None:
            answer = self._fetch(spool)
            refuse_no_rows(answer, name, self.format, self._load.how.mode)
            spool.seek(0)
            loaded = self._store(text_of(spool, answer, name), empty=answer.size_bytes == 0)
            return loaded.result(self._load.table)
        form = PageForm(
            name,
            self.format,
            self.records,
            [unquoted(one) for one in self._load.given or ()],
            self._load.how.mode,
            self.max_mb << 20,
        )
        request = self._request()
        pages = read_pages(self.exchange(), request, self.paginator, form, spool, self._tell_unsure)
        spool.seek(0)
        text = io.TextIOWrapper(spool, encoding="utf-8", errors="surrogatepass", newline="\n")
        loaded = self._store(text, empty=False, lines=True)
        return {**loaded.result(self._load.table), "pages": pages}

    def rehearse(self) -> None:
        super().rehearse()
        allowed = AllowedHosts(jobapi.current().permissions.allowed_hosts)
        refuse_request(Request(self.url, self.method, self.headers), allowed)
        if self.credentials is not None:
            self.credentials.refuse(allowed)

    def _fetch(self, into: IO[bytes]) -> Answer:
        answer = self.exchange().fetch(
            self._request(),
            into,
            most_bytes=self.max_mb << 20,
            keep_gzip=(self.path or "").lower().endswith((".gz", ".tgz")),
        )
        self._tell_unsure(answer)
        return answer

    def _tell_unsure(self, answer: Answer) -> None:
        # A JSON document tells by itself whether all of it is there.
        if answer.ends_by_closing and not (self.format == "json" and self.path is None):
            logger.warning(
                "%s: the answer has no Content-Length and no chunks: it ends where the connection "
                "was closed, and nothing shows whether it is complete",
                self._load.name,
            )

    def _request(self) -> Request:
        defaults = {"Accept": "*/*" if self.path else _WANTED[self.format]}
        body = None
        if self.body is not None:
            body = body_of(self.body)
            if not isinstance(self.body, str):
                defaults["Content-Type"] = "application/json"
        headers = with_defaults(self.headers, defaults)
        return Request(self._address(), self.method, headers, body)

    def _address(self) -> str:
        pairs = query_pairs(self.query)
        if self._watermark is not None:
            # In a transaction of its own, which ends before the server is asked.
            with self.aside() as session:
                start = self._watermark.start(session)
            if start is not None:
                logger.info("Asking for %s from %s on", self._watermark.since.cursor, start)
                pairs.append((self._watermark.since.start_param, start))
        return with_query(jobapi.reveal(self.url), pairs)

    def _store(self, text: IO[str], *, empty: bool, lines: bool = False) -> Loaded:
        name = self._load.name
        with self.session() as session:
            try:
                file = self._answered(session, text, empty=empty, lines=lines)
                loaded = self._load.run(session, [file])
                if self._watermark is not None and isinstance(file, JsonFile):
                    self._watermark.store(session, file.records())
                return loaded
            except UnicodeError as error:
                raise JobFailure(f"{name}: {undecodable(error)}") from None

    def _answered(self, session: "Session", text: IO[str], *, empty: bool, lines: bool) -> DataFile:
        """Return the answer as what a load copies."""
        name, reading = self._load.name, self._load.reading

        @contextmanager
        def opened() -> Iterator[IO[str]]:
            text.seek(0)
            yield text

        @contextmanager
        def numbered_lines() -> Iterator[Iterator[tuple[int, str]]]:
            with opened() as file:
                yield enumerate(file, 1)

        if empty:
            # An API that has nothing new to say has not failed.
            return JsonFile(name, lambda: nullcontext(()), reading)
        if self.format == "csv":
            return CsvFile(name, opened, reading)
        if lines or self.format == "jsonl":
            return JsonFile(name, numbered_lines, reading)
        found = records_of(text.read(), name, self.records, self._declared(session))
        numbered = list(enumerate(found, 1))
        return JsonFile(name, lambda: nullcontext(numbered), reading)

    def _declared(self, session: "Session") -> list[str] | None:
        """Return the columns of which a document that is one object has to have one.

        Without `columns` a table's own columns do, but not where the object would replace the
        table's rows, or make the table: then nothing tells a row from a message.
        """
        if self._load.given is not None:
            return [unquoted(name) for name in self._load.given]
        if self._load.how.mode == "replace":
            return []
        return None if writable_table(session, self._load.table) is not None else []


def _require(kept: bool, rule: str) -> None:
    if not kept:
        raise InvalidPayload(rule)
