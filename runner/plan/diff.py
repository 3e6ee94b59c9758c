"""Compares two definitions of a pipeline by meaning, not by text."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

Path = tuple[str | int, ...]

# Below these a key is something of its own: a step is added, not changed.
_NOUNS = {"steps": "step", "params": "param"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: `kind` is added, removed or changed. `path` is as in the definition."""

    kind: str
    path: Path
    old: Any = None
    new: Any = None

    @property
    def subject(self) -> str:
        """Name the changed part for people: `step load: with.path`."""
        head, *rest = self.path
        if head == "handlers" and len(rest) > 1:
            noun, rest = f"{rest[0]} handler {rest[1]}", rest[2:]
        elif head in _NOUNS and rest:
            noun, rest = f"{_NOUNS[str(head)]} {rest[0]}", rest[1:]
        elif head == "schedule" and rest:
            noun, rest = "schedule" if rest[0] == 0 else f"schedule {int(rest[0]) + 1}", rest[1:]
        else:
            return ".".join(map(str, self.path))
        return f"{noun}: {'.'.join(map(str, rest))}" if rest else noun

    def text_lines(self) -> list[str] | None:
        """Return the lines that differ where both values are texts of several lines."""
        if not (isinstance(self.old, str) and isinstance(self.new, str)):
            return None
        if "\n" not in self.old.strip() and "\n" not in self.new.strip():
            return None
        found = unified_diff(self.old.splitlines(), self.new.splitlines(), n=1, lineterm="")
        return list(found)[2:]  # Without its heads. A comment of SQL that is gone begins alike.


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the differences between two definitions, see `headrace.model.definition`."""
    return list(_of_mappings(before, after, ()))


def _of_mappings(
    before: Mapping[str, Any], after: Mapping[str, Any], path: Path
) -> Iterator[Change]:
    for key in dict.fromkeys([*after, *before]):
        here = (*path, key)
        if key not in before:
            yield from _all_of("added", here, after[key])
        elif key not in after:
            yield from _all_of("removed", here, before[key])
        else:
            yield from _of_values(before[key], after[key], here)


def _of_values(old: Any, new: Any, path: Path) -> Iterator[Change]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        yield from _of_mappings(old, new, path)
    elif _are_records(old) and _are_records(new):
        for index in range(max(len(old), len(new))):
            one, other = old[index : index + 1], new[index : index + 1]
            if one and other:
                yield from _of_mappings(one[0], other[0], (*path, index))
            else:
                kind = "removed" if one else "added"
                yield _whole(kind, (*path, index), (one or other)[0])
    elif type(old) is not type(new) or old != new:
        yield Change("changed", path, old, new)


def _all_of(kind: str, path: Path, value: Any) -> Iterator[Change]:
    """Yield one change, or where a whole group comes or goes one for each of it."""
    groups = {"steps": 1, "params": 1, "handlers": 2}
    if len(path) < groups.get(str(path[0]), 0) + 1 and path[0] in groups:
        for key, one in value.items():
            yield from _all_of(kind, (*path, key), one)
    elif path == ("schedule",):
        for index, one in enumerate(value):
            yield _whole(kind, (*path, index), one)
    else:
        yield _whole(kind, path, value)


def _whole(kind: str, path: Path, value: Any) -> Change:
    return Change(kind, path, new=value) if kind == "added" else Change(kind, path, old=value)


def _are_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
