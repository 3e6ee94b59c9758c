"""The lexical rules of PostgreSQL, as far as telling text from code needs them.

Source: PostgreSQL manual, section 4.1 "Lexical Structure", with `standard_conforming_strings`
on (the guard refuses to turn it off).
"""

import re
from collections.abc import Callable, Sequence
from enum import Enum
from functools import lru_cache
from typing import NamedTuple, TypeVar

Found = TypeVar("Found")

# Statements of small jobs, which come again and again; what is longer takes its time anyhow.
_LONGEST_KEPT = 4000


def kept(read: Callable[[str], Found]) -> Callable[[str], Found]:
    """Keep what was read out of the last short texts: the next job often has the same one.

    What is returned must not be changeable.
    """
    keeping = lru_cache(maxsize=256)(read)

    def reading(text: str) -> Found:
        return keeping(text) if len(text) <= _LONGEST_KEPT else read(text)

    return reading


class Kind(Enum):
    """Kind of a stretch of SQL."""

    SPACE = "space"
    COMMENT = "comment"
    STRING = "string"
    QUOTED_NAME = "quoted_name"
    BIND = "bind"
    WORD = "word"
    NUMBER = "number"
    SEMICOLON = "semicolon"
    SYMBOL = "symbol"


class Token(NamedTuple):
    """A stretch of SQL from `start` up to, not including, `end`."""

    kind: Kind
    text: str
    start: int
    end: int


# PostgreSQL takes every byte from 0x80 as a letter, so a no-break space is one too.
_LETTER = r"A-Za-z_\x80-\U0010ffff"
# A string goes on in the next line's quotes, under the same escape rules.
_CONTINUED = r"(?:[ \t\f\v]+|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]+|--[^\n\r]*+[\n\r])*+'"
_ESCAPED = r"(?:[^'\\]+|\\.|'')*+'"
_PLAIN = r"(?:[^']+|'')*+'"

_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<line_comment>--[^\n\r]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>[eE]'{_ESCAPED}(?:{_CONTINUED}{_ESCAPED})*)
    | (?P<string>(?:[bBxXnN]|[uU]&)?'{_PLAIN}(?:{_CONTINUED}{_PLAIN})*)
    | (?P<quoted_name>(?:[uU]&)?"(?:[^"]+|"")*+")
    | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*)?\$)
    | (?P<bind>\x00p\d+\x00)
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*)
    | (?P<number>[0-9][0-9A-Za-z_.]*)
    | (?P<semicolon>;)
    | (?P<unterminated>(?:[eE]|[bBxXnN]|[uU]&)?['"])
    | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "space": Kind.SPACE,
    "line_comment": Kind.COMMENT,
    "block_comment": Kind.COMMENT,
    "escape_string": Kind.STRING,
    "string": Kind.STRING,
    "dollar": Kind.STRING,
    "quoted_name": Kind.QUOTED_NAME,
    "bind": Kind.BIND,
    "word": Kind.WORD,
    "number": Kind.NUMBER,
    "semicolon": Kind.SEMICOLON,
    "unterminated": Kind.STRING,
    "symbol": Kind.SYMBOL,
}
_COMMENT_EDGE = re.compile(r"/\*|\*/")


# Several rules look at a text one after the other; a long one is not worth the memory.
_REMEMBERED = 20_000


def tokens(sql: str) -> Sequence[Token]:
    """Return the tokens of `sql`, whitespace and comments included; they cover all of it.

    What is never closed (a quote, a comment) reaches to the end.
    """
    return _remembered(sql) if len(sql) <= _REMEMBERED else _read(sql)


def code(sql: str) -> list[Token]:
    """Return the tokens that mean something: neither whitespace nor comments."""
    return [token for token in tokens(sql) if token.kind not in _SILENT]


_SILENT = (Kind.SPACE, Kind.COMMENT)


def _read(sql: str) -> tuple[Token, ...]:
    found = []
    position, length, match_at = 0, len(sql), _TOKEN.match
    while position < length:
        match = match_at(sql, position)
        assert match is not None and match.lastgroup is not None
        kind = match.lastgroup
        end = _end(sql, match) if kind in _OPEN else match.end()
        found.append(Token(_KINDS[kind], sql[position:end], position, end))
        position = end
    return tuple(found)


_remembered = lru_cache(maxsize=64)(_read)
_OPEN = frozenset({"block_comment", "dollar", "unterminated"})


def _end(sql: str, match: "re.Match[str]") -> int:
    if match.lastgroup == "block_comment":
        return _block_comment_end(sql, match.end())
    if match.lastgroup == "dollar":
        closing = sql.find(match[0], match.end())
        return len(sql) if closing < 0 else closing + len(match[0])
    return len(sql)


def _block_comment_end(sql: str, position: int) -> int:
    depth = 1
    for edge in _COMMENT_EDGE.finditer(sql, position):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(sql)
