"""What a fault is: a place in a file, and what stands there instead."""

import re
from dataclasses import dataclass

_FUNCTION = re.compile(r"\s*(?:async )?def (\w+)")


@dataclass(frozen=True)
class Fault:
    """Replaces the text from `start` to `end` of a file, in bytes, by `new`.

    `line` is where it is seen, `mark` the line whose execution means that the fault is reached.
    `inside` says whether that is within a function: other lines are executed by the import.
    """

    path: str
    line: int
    mark: int
    operator: str
    start: int
    end: int
    new: str
    inside: bool = True

    def applied_to(self, text: str) -> str:
        """Return the file's text with the fault in it."""
        source = text.encode()
        return (source[: self.start] + self.new.encode() + source[self.end :]).decode()

    def shown(self, text: str) -> tuple[str, str]:
        """Return the code around the fault before and after, without what is around it."""
        source = text.encode()
        begin = source.rfind(b"\n", 0, self.start) + 1
        end = source.find(b"\n", self.end)
        end = len(source) if end < 0 else end
        before = source[begin:end].decode()
        after = (source[begin : self.start] + self.new.encode() + source[self.end : end]).decode()
        return _plain(before), _plain(after)

    def where(self, text: str) -> str:
        """Return the name of the function or the statement that it is in, empty if in none."""
        lines = text.splitlines()
        if self.path.endswith(".sql"):
            return lines[self.mark - 1].removeprefix("-- name: ")
        # A function's own line is in it; of those above, the ones that are further out.
        limit = _indent(lines[self.line - 1]) + 1
        for line in reversed(lines[: self.line]):
            if line.strip() and line.strip()[0] not in "#)" and _indent(line) < limit:
                if found := _FUNCTION.match(line):
                    return found[1]
                limit = _indent(line)
        return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _plain(code: str) -> str:
    return " ".join(code.split())
