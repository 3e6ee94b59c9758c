"""HttpExtract: rows from an HTTP API into a table, or an answer into a file."""

import io
import json
from collections.abc import Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any, ClassVar, Literal, cast
from urllib.parse import urlencode

from jobs.allowed_hosts import AllowedHosts
from jobs.base import BaseJob, logger
from jobs.fetching import Request, fetch, refuse_request
from jobs.files import to_write, written_whole
from jobs.json_text import items_of, values_of, whole
from jobs.loading import TableLoad
from runner import jobapi
from runner.errors import InvalidPayload, JobFailure

_IN_MEMORY_BYTES = 8_000_000
_WANTED = {"json": "application/json", "csv": "text/csv", "jsonl": "application/x-ndjson"}

Scalar = str | int | float | bool | None


class HttpExtract(BaseJob):
    """Load rows from an HTTP API into a table, all of them or nothing, or keep them in a file.

    Only hosts of `http.allowed_hosts` in `config.yaml` are spoken to, by default none. In `url`,
    `query`, `headers` and `body`, `${NAME}` names a variable of the worker's environment, for
    secrets. The result is `{row_count, table}`, or `{size_bytes, path}`. A repeated attempt asks
    again. Any status but 2xx fails the job.

    Parameters:
        url: what to ask for, http or https.
        into: the table for the rows, with its schema.
        path: a file for the answer instead, below `output_folders` (by default
            `exports/` beside the pipelines folder); missing folders are made.
        method: GET or POST. Redirects are followed for GET, at most five.
        query: what is added to the URL as `?name=value`; a list repeats its name.
        headers: further headers. All but Accept, Accept-Language and User-Agent are left out
            where a redirect leads to another host.
        body: for POST: a mapping or list, which is sent as JSON, or a text.
        format: json (one document), csv, or jsonl (ndjson): one JSON object a line.
        records: where the rows are in a JSON document, as `data.items`; by default the document
            is the list of them. A JSON document is held in memory.
        mode: append to the table's rows, or replace them.
        create: create the table where it is missing.
        columns: the columns: a list of names, or a mapping of names to types, which `create`
            uses. Other keys of JSON records are left out; one that no record has is an error,
            one that some lack takes the table's default there. Default: the header of a CSV, the
            table's own columns that JSON records have keys for, all keys where it is made.
        delimiter: what separates the columns of a CSV.
        null: the text that stands for no value in a CSV.
        max_mb: the greatest size of the answer, unpacked, in MB.
    """

    paths: ClassVar = {"path": to_write}
    result_keys = ("row_count", "table", "size_bytes", "path")

    referring: ClassVar[tuple[str, ...]] = ("url", "query", "headers", "body")

    def __init__(  # noqa: PLR0913 - each is a key of `with`
        self,
        url: str,
        *,
        into: str | None = None,
        path: str | None = None,
        method: Literal["GET", "POST"] = "GET",
        query: dict[str, Scalar | list[Scalar]] | None = None,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | list[Any] | str | None = None,
        format: Literal["json", "csv", "jsonl", "ndjson"] = "json",  # noqa: A002 - the user's word
        records: str | None = None,
        mode: Literal["append", "replace"] = "append",
        create: bool = False,
        columns: list[str] | dict[str, str] | None = None,
        delimiter: str = ",",
        null: str = "",
        max_mb: int = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (into is None) == (path is None):
            raise InvalidPayload("HttpExtract takes either into or path")
        if body is not None and method != "POST":
            raise InvalidPayload("a body needs method: POST")
        if records is not None and format != "json":
            raise InvalidPayload("records needs format: json")
        if max_mb < 1:
            raise InvalidPayload("max_mb is at least 1")
        self.url, self.method, self.query, self.body = url, method, query or {}, body
        self.headers = headers or {}
        self.path, self.records, self.max_mb = path, records, max_mb
        self.format = "jsonl" if format == "ndjson" else format
        self._load = TableLoad(
            _without_query(url),
            into or "",
            mode,
            create,
            columns,
            delimiter,
            null=null,
            leave_out=self.format != "csv",
        )
        self._load.check(is_csv=self.format == "csv")

    def handle(self) -> dict[str, Any]:
        logger.info("Asking %s %s", self.method, _without_query(self.url))
        if self.path is not None:
            with written_whole(jobapi.current().output_path(self.path)) as file:
                size, _ = self._fetch(file)
            logger.info("Wrote %d bytes to %s", size, self.path)
            return {"size_bytes": size, "path": self.path}
        # All of it first: no transaction stands open while a server takes its time.
        with SpooledTemporaryFile(_IN_MEMORY_BYTES) as spool:
            size, charset = self._fetch(cast("IO[bytes]", spool))
            spool.seek(0)
            count = self._store(_text_of(cast("IO[bytes]", spool), charset), empty=size == 0)
        logger.info("Loaded %d rows into %s", count, self._load.table)
        return {"row_count": count, "table": self._load.table}

    def rehearse(self) -> None:
        super().rehearse()
        allowed = AllowedHosts(jobapi.current().permissions.allowed_hosts)
        refuse_request(Request(self.url, self.method, self.headers), allowed)

    def _fetch(self, into: IO[bytes]) -> tuple[int, str]:
        answer = fetch(
            self._request(),
            into,
            allowed=AllowedHosts(jobapi.current().permissions.allowed_hosts),
            most_bytes=self.max_mb << 20,
        )
        charset = (answer.charset or "utf-8").lower()
        # A byte order mark is no part of the first name.
        return answer.size_bytes, "utf-8-sig" if charset in ("utf-8", "utf8") else charset

    def _request(self) -> Request:
        wanted = "*/*" if self.path else _WANTED[self.format]
        headers = {"Accept": wanted, **self.headers}
        body = None
        if self.body is not None:
            revealed = _revealed(self.body)
            text = revealed if isinstance(revealed, str) else json.dumps(revealed)
            body = text.encode()
            if not isinstance(self.body, str):
                headers = {"Content-Type": "application/json", **headers}
        return Request(self._address(), self.method, headers, body)

    def _address(self) -> str:
        url = jobapi.reveal(self.url)
        if not self.query:
            return url
        pairs = [
            (name, _parameter(value))
            for name, given in self.query.items()
            for value in (given if isinstance(given, list) else [given])
            if value is not None
        ]
        return f"{url}{'&' if '?' in url else '?'}{urlencode(pairs)}"

    def _store(self, text: IO[str], *, empty: bool) -> int:
        def lines() -> Iterator[str]:
            text.seek(0)
            yield from text

        with self.session() as session:
            try:
                if empty:
                    # An API that has nothing new to say has not failed.
                    return self._load.json_lines(session, [])
                if self.format == "csv":
                    return self._load.csv(session, text)
                if self.format == "jsonl":
                    return self._load.json_lines(session, lines(), lines)
                records = self._records(text)
                return self._load.json_lines(session, records, lambda: records)
            except UnicodeDecodeError as error:
                name = self._load.name
                raise JobFailure(f"{name}: is not {error.encoding}: {error.reason}") from None

    def _records(self, text: IO[str]) -> list[str]:
        """Return the records of a JSON document, each as it is written: no digit is lost."""
        name = self._load.name
        try:
            found = whole(text.read())
            for key in self.records.split(".") if self.records else ():
                values = values_of(found) if found[0] == "{" else {}
                if key not in values:
                    raise JobFailure(
                        f"{name}: the answer has no {self.records!r}: {key!r} is missing"
                    )
                found = values[key]
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            raise JobFailure(f"{name}: no JSON: {error}") from None
        rows = items_of(found) if found[0] == "[" else [found]
        if not all(row[0] == "{" for row in rows):
            where = repr(self.records) if self.records else "the document"
            raise JobFailure(f"{name}: {where} is no list of objects; `records` tells where it is")
        return rows


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


def _revealed(value: Any) -> Any:
    if isinstance(value, str):
        return jobapi.reveal(value)
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return value


def _parameter(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return jobapi.reveal(value) if isinstance(value, str) else str(value)


def _text_of(spool: IO[bytes], charset: str) -> IO[str]:
    try:
        return io.TextIOWrapper(spool, encoding=charset, newline="")
    except LookupError:
        raise JobFailure(f"the answer is written in {charset!r}, which nobody can read") from None
