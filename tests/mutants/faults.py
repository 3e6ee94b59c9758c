"""What a fault is: a place in a file, and what stands there instead."""

from dataclasses import dataclass


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


def _plain(code: str) -> str:
    return " ".join(code.split())
