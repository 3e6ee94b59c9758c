"""YAML text → data, with the place of every key and value. The only package that imports yaml."""

import os
import re
from pathlib import Path

from headrace.declarations.source.regular import NotRegular, TooLarge, read_regular
from headrace.declarations.source.scalars import resolve
from headrace.declarations.source.tree import Document, KeyPath, Node, Position
from headrace.errors import Problem, ProblemsError

__all__ = [
    "Document",
    "KeyPath",
    "Node",
    "Position",
    "parse",
    "read",
    "resolve",
    "scan",
    "shown_path",
]

MAX_BYTES = 1_000_000

_NOT_TEXT = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(text: str | bytes, file: str) -> Document:
    """Return the content of a YAML file.

    Raises:
        ProblemsError: it cannot be read; every problem has its place.
    """
    document, problems = scan(text, file)
    if document is None or problems:
        raise ProblemsError(problems)
    return document


def scan(text: str | bytes, file: str) -> tuple[Document | None, list[Problem]]:
    """Return the content of a YAML file as far as it can be read, and what is wrong with it.

    With problems like a duplicate key there is a document all the same, so that whatever
    else is wrong can be said at once. The first of two equal keys counts.
    """
    problem = _too_large(len(text), file)
    if problem is not None:
        return None, [problem]
    decoded = _decode(text, file) if isinstance(text, bytes) else text.removeprefix("\ufeff")
    if isinstance(decoded, Problem):
        return None, [decoded]
    if stray := _NOT_TEXT.search(decoded):
        return None, [_stray_character(decoded, stray.start(), file)]
    return _built(decoded, file)


def _built(decoded: str, file: str) -> tuple[Document | None, list[Problem]]:
    # Imported here: a command that reads no file needs no YAML library.
    import yaml

    from headrace.declarations.source.builder import TreeBuilder, Unreadable
    from headrace.declarations.source.syntax import syntax_problem

    builder = TreeBuilder(decoded, file)
    try:
        root = builder.build()
    except Unreadable as stop:
        return None, [*builder.problems, stop.problem]
    except yaml.YAMLError as error:
        found = syntax_problem(error, decoded, file)
        known = any(problem.line == found.line for problem in builder.problems)
        return None, builder.problems if known else [*builder.problems, found]
    if root is None or root.data is None:
        hint = "write its content, or remove it"
        return None, [Problem(file, 1, 1, "empty-file", "the file is empty", hint)]
    return Document(file, root, decoded), builder.problems


def read(path: Path) -> bytes | Problem:
    """Return a file's bytes, or the problem that keeps it from being read.

    A file over the size limit is refused before it is read, and what is no file is not opened.
    """
    file = shown_path(path)
    try:
        return read_regular(path, MAX_BYTES)
    except TooLarge:
        return _too_large(MAX_BYTES + 1, file) or b""
    except NotRegular as error:
        message = f"{error.strerror}, not a file that can be read"
        hint = "move it elsewhere, or give it another name"
        return Problem(file, 0, 0, "unreadable-file", message, hint)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        message = f"the file cannot be read: {reason}"
        return Problem(file, 0, 0, "unreadable-file", message, "check its path and permissions")


def shown_path(path: Path) -> str:
    """Return the path as messages show it: relative to the current folder where it is below."""
    absolute = Path(os.path.abspath(path))
    try:
        return str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(absolute)


def _too_large(size: int, file: str) -> Problem | None:
    if size <= MAX_BYTES:
        return None
    hint = "put data into a data file that a step reads, or split the file"
    message = f"the file is larger than {MAX_BYTES // 1_000_000} MB"
    return Problem(file, 1, 1, "too-large", message, hint)


def _decode(text: bytes, file: str) -> str | Problem:
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        hint = "save it as UTF-8"
        return Problem(file, 1, 1, "encoding", "the file is written in UTF-16", hint)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8-sig", "replace")
        byte = text[error.start]
        message = f"the byte 0x{byte:02x} is not UTF-8"
        return Problem(file, *_place_after(before), "encoding", message, "save the file as UTF-8")


def _stray_character(text: str, index: int, file: str) -> Problem:
    place = _place_after(text[:index])
    message = f"the control character U+{ord(text[index]):04X} is not allowed in YAML"
    hint = "remove it, or save the file as UTF-8 text"
    return Problem(file, *place, "encoding", message, hint)


def _place_after(before: str) -> Position:
    line_start = before.rfind("\n") + 1
    return Position(before.count("\n") + 1, len(before) - line_start + 1)
