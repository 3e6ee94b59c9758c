"""Keeps the SQL that the current job was given, so that an error can name the place in it."""

import re
from contextvars import ContextVar

# What stands in braces is replaced by something else, or by nothing.
_BRACES = re.compile(
    r"^(?:(?!\{[{%#]).)*?(?:\}\}|%\}|#\})"  # begun on a line before
    r"|\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}"
    r"|\{[{%#].*"  # goes on in the next line
)

_texts: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("headrace_written_sql", default=())


def forget_texts() -> None:
    """Begin with a new job, which has been given nothing yet."""
    _texts.set(())


def remember_text(name: str, text: str) -> None:
    """Note a template of the job's, and what errors call it."""
    if (name, text) not in _texts.get():
        _texts.set((*_texts.get(), (name, text)))


def place_of(line: str) -> str | None:
    """Return `name:line` of the one line of the job's templates that became `line`, or None."""
    found = [
        (_plain(written), f"{name}:{number}")
        for name, text in _texts.get()
        for number, written in enumerate(text.split("\n"), 1)
        if _plain(written) and _pattern(written).fullmatch(line.strip())
    ]
    # Of a line that braces make up it may be any; the one with most text of its own it is.
    most = max((plain for plain, _ in found), default=0)
    places = [place for plain, place in found if plain == most]
    return places[0] if len(places) == 1 else None


def _plain(written: str) -> int:
    return len("".join(_pieces(written)).replace(" ", ""))


def _pieces(written: str) -> list[str]:
    # The semicolon at a statement's end is not sent.
    return _BRACES.split(written.strip().rstrip("; "))


def _pattern(written: str) -> "re.Pattern[str]":
    return re.compile(".*?".join(re.escape(piece) for piece in _pieces(written)) + ";?")
