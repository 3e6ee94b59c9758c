"""Lists the files in which faults are made, and gives each of their lines a number."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_STATEMENT = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
# Migrations that were released never change; the project's template is other people's code.
_LEFT_OUT = ("runner/cli/project_template/", "runner/store/migrations/versions/")
_PATTERNS = ("runner/**/*.py", "jobs/**/*.py", "runner/store/sql/*.sql", "jobs/sql/*.sql.j2")


@dataclass(frozen=True)
class Sources:
    """The files of a tree; the lines of all of them have one numbering."""

    root: Path

    @cached_property
    def paths(self) -> list[str]:
        """The files by their paths from the root."""
        found = {
            path.relative_to(self.root).as_posix()
            for pattern in _PATTERNS
            for path in self.root.glob(pattern)
        }
        return sorted(path for path in found if not path.startswith(_LEFT_OUT))

    @cached_property
    def first(self) -> dict[str, int]:
        """The number of each file's first line."""
        numbers, number = {}, 0
        for path in self.paths:
            numbers[path] = number
            number += self.text(path).count("\n") + 1
        return numbers

    @cached_property
    def total(self) -> int:
        """How many lines there are."""
        last = self.paths[-1]
        return self.first[last] + self.text(last).count("\n") + 1

    @cached_property
    def statements(self) -> dict[str, int]:
        """The number of the first line of each named statement, and of each template."""
        found = {}
        for path in self.paths:
            if path.endswith(".sql.j2"):
                found[Path(path).name] = self.first[path]
            elif path.endswith(".sql"):
                text = self.text(path)
                for match in _STATEMENT.finditer(text):
                    line = text.count("\n", 0, match.start())
                    found[match[1]] = self.first[path] + line
        return found

    def text(self, path: str) -> str:
        """Return a file's text."""
        return (self.root / path).read_text(encoding="utf-8")


def room_of(path: str) -> str:
    """Return the first-level room of a file."""
    top, first, *_ = path.removesuffix(".py").split("/")
    return "jobs" if top == "jobs" else first


def is_in(path: str, room: str) -> bool:
    """Return whether a file is in a room, of whatever level: `store`, `engine/gating`, `jobs`."""
    return f"{path.removesuffix('.py').removeprefix('runner/')}/".startswith(f"{room}/")
