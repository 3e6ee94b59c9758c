"""Reads an API page by page into one file with a record on each line."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import IO, cast

from headrace.errors import JobFailure
from headrace.errors.numbers import number_of
from headrace.jobapi import logger
from headrace.jobs.http.answer_body import records_of, refuse_no_rows, text_of, undecodable
from headrace.jobs.http.exchange import Exchange
from headrace.jobs.http.pagination import Page, Paginator
from headrace.jobs.http.request import Answer, Request

_IN_MEMORY_BYTES = 8_000_000
_TOLD_EACH = 10
_TOLD_EVERY = 100

TellUnsure = Callable[[Answer], None]


@dataclass(frozen=True, slots=True)
class PageForm:
    """How pages are read; the names are those of the step's keys. `name` is for errors."""

    name: str
    format: str
    records: str | None
    declared: Sequence[str]
    mode: str
    most_bytes: int


def read_pages(
    exchange: Exchange,
    request: Request,
    paginator: Paginator,
    form: PageForm,
    into: IO[bytes],
    tell_unsure: TellUnsure,
) -> int:
    """Write the records of all pages into a file and return the number of pages.

    Raises:
        JobFailure: a page is not what it has to be, leads back, or there are too many.
    """
    asked: Request | None = replace(request, url=paginator.first(request.url))
    seen: set[tuple[str, bytes | None]] = set()
    rows = size = 0
    while asked is not None:
        if (asked.url, asked.body) in seen:
            raise JobFailure(f"{form.name}: page {len(seen)} leads back to one that was read")
        if len(seen) == paginator.max_pages:
            raise JobFailure(
                f"{form.name}: there are more than {paginator.max_pages} pages "
                "(paginator.max_pages): none of them is loaded"
            )
        seen.add((asked.url, asked.body))
        number = len(seen)
        left = replace(form, name=f"{form.name}, page {number}", most_bytes=form.most_bytes - size)
        page, taken = _read(exchange, asked, left, into, tell_unsure)
        rows, size = rows + page.rows, size + taken
        if number <= _TOLD_EACH or number % _TOLD_EVERY == 0:
            logger.info("Page %d: %s, %d so far", number, number_of(page.rows, "row"), rows)
        asked = paginator.following(asked, page, number)
    return len(seen)


def _read(
    exchange: Exchange, request: Request, form: PageForm, into: IO[bytes], tell_unsure: TellUnsure
) -> tuple[Page, int]:
    """Return a page, its records written, and the size of its answer."""
    with SpooledTemporaryFile(_IN_MEMORY_BYTES) as file:
        spool = cast("IO[bytes]", file)
        answer = exchange.fetch(request, spool, most_bytes=form.most_bytes)
        refuse_no_rows(answer, form.name, form.format, form.mode)
        tell_unsure(answer)
        spool.seek(0)
        text = text_of(spool, answer, form.name)
        try:
            if form.format == "jsonl":
                rows = sum(map(_written_to(into), text))
                return Page(form.name, request.url, answer, rows=rows), answer.size_bytes
            document = text.read().strip()
        except UnicodeError as error:
            raise JobFailure(f"{form.name}: {undecodable(error)}") from None
    found = records_of(document, form.name, form.records, form.declared) if document else []
    sum(map(_written_to(into), found))
    return Page(form.name, request.url, answer, document or "{}", len(found)), answer.size_bytes


def _written_to(into: IO[bytes]) -> Callable[[str], bool]:
    def write(record: str) -> bool:
        # Line breaks stand between values only: within a text JSON writes \n.
        line = record.replace("\r", " ").replace("\n", " ").strip()
        if line:
            into.write(f"{line}\n".encode("utf-8", "surrogatepass"))
        return bool(line)

    return write
