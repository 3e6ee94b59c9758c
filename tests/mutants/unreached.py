"""Knows the lines that no test executes for a reason."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("unreached.yaml")


def reasons() -> dict[str, dict[str, str]]:
    """Return, for each file, the reason of each text of a line; the text `*` stands for all."""
    known = yaml.safe_load(FILE.read_text(encoding="utf-8")) or []
    found: dict[str, dict[str, str]] = {}
    for one in known:
        for line in one["lines"]:
            found.setdefault(one["path"], {})[line] = one["reason"]
    return found


def without_reason(
    unreached: Mapping[str, Sequence[int]], texts: Mapping[str, str]
) -> dict[str, list[int]]:
    """Return those of the lines that no reason is given for."""
    known, left = reasons(), {}
    for path, numbers in unreached.items():
        given, lines = known.get(path, {}), texts[path].splitlines()
        open_ = [one for one in numbers if not {lines[one - 1].strip(), "*"} & given.keys()]
        if open_:
            left[path] = open_
    return left
