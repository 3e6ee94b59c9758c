"""Says which column a name in a file means: renamed, left out, or in another spelling."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from headrace.errors import InvalidPayload, JobFailure

Normalize = Literal["none", "snake_case"]

_RENAME = re.compile(r"\s*(.+?)\s+[aA][sS]\s+(.+?)\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NameRules:
    """How names of a file become names of columns.

    `only` are the names that are taken, None takes all but those `left_out`. Names are renamed
    after that, and `normalize` spells the others as PostgreSQL's own.
    """

    only: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()
    renamed: dict[str, str] = field(default_factory=dict)
    normalize: Normalize = "none"

    @classmethod
    def read(cls, select: Sequence[str] | None, normalize: Normalize) -> Self:
        """Read `select`: `name`, `-name`, `old as new`.

        Names alone are those that are taken; with `-name` or renamings only, the others are taken
        as well.

        Raises:
            InvalidPayload: names are both taken and left out.
        """
        taken, left_out, renamed = [], [], {}
        for one in select or ():
            rename = _RENAME.fullmatch(one)
            if one.startswith("-"):
                left_out.append(one[1:].strip())
            elif rename is not None:
                renamed[rename[1]] = rename[2]
            else:
                taken.append(one)
        if taken and left_out:
            raise InvalidPayload(
                f"select takes {taken[0]!r} and leaves out {left_out[0]!r}: what it does not "
                "name is left out anyway"
            )
        if len(set(renamed.values())) < len(renamed):
            raise InvalidPayload("select gives two columns the same name")
        only = (*taken, *renamed) if taken else None
        return cls(only, frozenset(left_out), renamed, normalize)

    @property
    def changes_nothing(self) -> bool:
        """Whether every name stays what it is."""
        return self == NameRules()

    def column(self, name: str) -> str | None:
        """Return the column's name for one in the file, None where it is left out."""
        if name in self.renamed:
            return self.renamed[name]
        if name in self.left_out or (self.only is not None and name not in self.only):
            return None
        return snake_case(name) if self.normalize == "snake_case" else name

    def columns(self, names: Sequence[str], place: str) -> list[str | None]:
        """Return the column's name for each of a file's, None where it is left out.

        Raises:
            JobFailure: the file lacks a name that `select` has, or two get the same one.
        """
        wanted = [*(self.only or ()), *self.left_out, *self.renamed]
        missing = [name for name in wanted if name not in names]
        if missing:
            raise JobFailure(
                f"{place}: has no column {missing[0]!r}, which `select` names; its columns: "
                f"{', '.join(names)}"
            )
        found = [self.column(name) for name in names]
        kept = [name for name in found if name is not None]
        for name in kept:
            if kept.count(name) > 1:
                old = [names[at] for at, one in enumerate(found) if one == name]
                raise JobFailure(f"{place}: {' and '.join(old)} both become {name!r}")
        return found


EVERY_NAME = NameRules()


def snake_case(name: str) -> str:
    """Return a name in lower case, with `_` between its words: `Order ID` is `order_id`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", plain)
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", words)
    joined = re.sub(r"\W+", "_", words).strip("_").lower()
    return f"_{joined}" if joined[:1].isdigit() else joined or "_"
