"""Reads an answer's body: whether it is what was asked for, its text, and where its records are."""

import codecs
import io
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import IO

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.errors.shortened import shortened
from headrace.jobs.files.json_text import items_of, values_of, whole
from headrace.jobs.files.text_files import foreign_kind
from headrace.jobs.http.request import Answer

_TOLD_CHARACTERS = 200
_GZIP = b"\x1f\x8b"
# Some CSV files have names like <DATE>,<CLOSE>.
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?![^<>\s]*>[,;\t|])(?:[!?]|/?[A-Za-z])")
_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.I | re.S
)
_PAGES = ("", ".html", ".htm", ".xhtml", ".txt", ".xml")
# Each of these has at least a header, a value or an end mark.
_NEVER_EMPTY = frozenset(".csv .tsv .json .xml .gz .tgz .zip .xlsx .parquet .pdf".split())
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def refuse_no_rows(answer: Answer, name: str, kind: str, mode: str) -> None:
    """Refuse an answer that holds no rows of this format, whatever its status is.

    Raises:
        JobFailure: it is a page, packed, or nothing at all that would empty a table.
    """
    if answer.size_bytes == 0:
        # Nothing is a list in JSON Lines only, where each line is a record.
        if mode == "replace" and (kind != "jsonl" or not answer.has_content):
            raise JobFailure(
                f"{name}: the answer {answer.status} has no content, which does not replace a"
                f" table's rows: no {kind} was sent"
            )
        return
    if _MARKUP.match(answer.start):
        what = "an HTML page" if _PAGE.match(answer.start) else "markup (HTML or XML)"
        raise JobFailure(f"{name}: the answer is {what}, no {kind}: it begins {_begins(answer)}")
    packed = "a gzip stream" if answer.start.startswith(_GZIP) else foreign_kind(answer.start)
    if packed:
        raise JobFailure(
            f"{name}: the answer is {packed}, no {kind}: store it with `path`, and load that file"
        )


def refuse_no_file(answer: Answer, name: str, path: str) -> None:
    """Refuse an answer that does not become the file that was asked for.

    Raises:
        JobFailure: it has no content, or is a page though the file's name promises data.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if not answer.has_content or (answer.size_bytes == 0 and suffix in _NEVER_EMPTY):
        raise JobFailure(f"{name}: the answer {answer.status} has no content to store as {path}")
    if _PAGE.match(answer.start) and suffix not in _PAGES:
        raise JobFailure(
            f"{name}: the answer is an HTML page, which is not stored as {path}: it begins"
            f" {_begins(answer)}"
        )


def text_of(spool: IO[bytes], answer: Answer, name: str) -> IO[str]:
    """Return the body as text: a byte order mark tells its encoding, else the answer's header.

    Raises:
        JobFailure: nobody knows that encoding.
    """
    charset = next((code for mark, code in _MARKS if answer.start.startswith(mark)), None)
    charset = charset or answer.charset or "utf-8"
    try:
        codecs.lookup(charset)
        return io.TextIOWrapper(spool, encoding=charset, newline="")
    except (LookupError, ValueError):
        raise JobFailure(
            f"{name}: the answer is written in {charset!r}, which is unknown"
        ) from None


def undecodable(error: UnicodeError) -> str:
    """Return why an answer is no text: where UTF-16 lacks its mark, there is no place to tell."""
    if isinstance(error, UnicodeDecodeError):
        return f"is not {error.encoding}: {error.reason}"
    return f"cannot be read: {error}"


def records_of(text: str, name: str, path: str | None, declared: Sequence[str] | None) -> list[str]:
    """Return the records of a JSON document, each as it is written: no digit is lost.

    `path` says where they are. A document that is one object is a record where it has one of
    the `declared` columns; None takes it as it is.

    Raises:
        JobFailure: it is no JSON, or there are none where they should be.
    """
    try:
        found = whole(text)
        if path:
            found = _at(found, name, path)
    except (ValueError, RecursionError) as error:
        raise JobFailure(f"{name}: no JSON: {error}") from None
    if path and found == "null":
        return []
    if found[0] == "{" and not path:
        _refuse_other_object(found, name, declared)
    rows = items_of(found) if found[0] == "[" else [found]
    if not all(row[0] == "{" for row in rows):
        where = repr(path) if path else "the document"
        raise JobFailure(f"{name}: {where} is not a list of objects; set `records` to its path")
    return rows


def value_at(document: str, name: str, path: str) -> str | None:
    """Return the value at a path of a document that was read, as it is written there.

    Raises:
        JobFailure: the path may mean two of them.
    """
    places = _places(document, tuple(path.split(".")))
    if len(places) > 1:
        raise JobFailure(f"{name}: {path!r} is ambiguous: a key of the answer contains a dot")
    return places[0] if places else None


def _at(found: str, name: str, path: str) -> str:
    """Return the value at a path; a key may hold dots itself."""
    value = value_at(found, name, path)
    if value is not None:
        return value
    missing = _missing(found, path.split("."))
    raise JobFailure(
        f"{name}: the answer has no {path!r}: {missing!r} is missing; it begins {_told(found)}"
    )


def _places(found: str, keys: tuple[str, ...]) -> list[str]:
    if not keys:
        return [found]
    values = values_of(found) if found[0] == "{" else {}
    return [
        place
        for taken in range(1, len(keys) + 1)
        for key in [".".join(keys[:taken])]
        if key in values
        for place in _places(values[key], keys[taken:])
    ]


def _missing(found: str, keys: Sequence[str]) -> str:
    for key in keys[:-1]:
        values = values_of(found) if found[0] == "{" else {}
        if key not in values:
            return key
        found = values[key]
    return keys[-1]


def _refuse_other_object(found: str, name: str, declared: Sequence[str] | None) -> None:
    """Refuse one object that is a message instead of a row: an error, a state."""
    if declared is None:
        return
    keys = {key.casefold() for key in values_of(found)}
    if keys.isdisjoint(column.casefold() for column in declared):
        wanted = f"one of the columns {', '.join(declared)}" if declared else "declared `columns`"
        raise JobFailure(
            f"{name}: the answer is one object, which is a row only where it has {wanted}"
            f" (`records` says where a list is): {_told(found)}"
        )


def _begins(answer: Answer) -> str:
    text = " ".join(answer.start.decode("utf-8", "replace").split())
    return repr(shortened(jobapi.redacted(text), _TOLD_CHARACTERS))


def _told(found: str) -> str:
    return shortened(jobapi.redacted(found), _TOLD_CHARACTERS)
