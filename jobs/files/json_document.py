"""Reads a JSON document that is a list, one item at a time: it is never whole in memory."""

import json
import re
from collections.abc import Iterator
from typing import IO

from headrace.errors import JobFailure
from headrace.jobs.files.json_text import raw_decode

_BLOCK = 1 << 18
_GAP = re.compile(r"[ \t\r\n]*")
_MOST_CHARACTERS = 1 << 28


class _Text:
    """What is read of a text and not used yet; counts its lines."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.left = ""
        self.line = 1
        self.ended = False

    def more(self) -> None:
        block = self._file.read(max(_BLOCK, len(self.left)))
        self.ended = not block
        self.left += block

    def use(self, count: int) -> str:
        used, self.left = self.left[:count], self.left[count:]
        self.line += used.count("\n")
        return used

    def peek(self) -> str:
        """Return the next character that is no blank, "" at the end."""
        while True:
            gap = _GAP.match(self.left)
            self.use(gap.end() if gap else 0)
            if self.left or self.ended:
                return self.left[:1]
            self.more()


def items(file: IO[str], name: str) -> Iterator[tuple[int, str]]:
    """Yield the text of each item of the list, or of the one object, with its line.

    Raises:
        JobFailure: the document is neither, is damaged, or ends early.
    """
    text = _Text(file)
    first = text.peek().removeprefix("\ufeff")
    if first == "{":
        yield text.line, _item(text, name)
        if text.peek():
            raise JobFailure(
                f"{name}:{text.line}: there is more behind the object: a file with one object a "
                "line is `format: jsonl`"
            )
        return
    if first != "[":
        what = f"begins with {first!r}" if first else "is empty"
        raise JobFailure(f"{name}: {what}: a JSON document with rows is a list of objects")
    text.use(1)
    if text.peek() == "]":
        text.use(1)
    else:
        yield from _listed(text, name)
    if text.peek():
        raise JobFailure(f"{name}:{text.line}: there is more behind the end of the list")


def _listed(text: _Text, name: str) -> Iterator[tuple[int, str]]:
    while True:
        text.peek()
        line = text.line
        yield line, _item(text, name)
        mark = text.peek()
        if mark not in (",", "]"):
            what = f"there is {mark!r}" if mark else "the document ends early"
            raise JobFailure(f"{name}:{text.line}: {what} where a comma or ] was expected")
        text.use(1)
        if mark == "]":
            return


def _item(text: _Text, name: str) -> str:
    while True:
        try:
            end = raw_decode(text.left)
        except json.JSONDecodeError as error:
            if text.ended or len(text.left) > _MOST_CHARACTERS:
                what = "the document ends early" if text.ended else error.msg
                at = text.line + text.left.count("\n", 0, error.pos)
                raise JobFailure(f"{name}:{at}: no JSON: {what}") from None
            if error.pos < len(text.left) - 64 and not error.msg.startswith("Unterminated"):
                at = text.line + text.left.count("\n", 0, error.pos)
                raise JobFailure(f"{name}:{at}: no JSON: {error.msg}") from None
            text.more()
            continue
        except RecursionError:
            raise JobFailure(f"{name}:{text.line}: the JSON is nested too deeply") from None
        # A number or a word at the end of what was read may go on.
        if end == len(text.left) and not text.ended and text.left[-1] not in '}]"':
            text.more()
            continue
        return text.use(end)
