"""Locates a pipeline's values in its file."""

from collections.abc import Mapping, Sequence
from typing import Any

from headrace.declarations.source import Document, KeyPath, Position


def place_of(document: Document, path: KeyPath) -> Position:
    """Return the place of a part of a pipeline's definition, or of the nearest thing around it.

    `path` is as in `headrace.model.definition`: steps and handlers by their id. What a step takes
    from a template of the file, or from its `defaults`, stands there.
    """
    return document.at(written_at(document.data, path))


def written_at(data: Any, path: KeyPath) -> KeyPath:
    """Return the path in the file's own data of a part of a pipeline's definition."""
    if not isinstance(data, Mapping) or len(path) < 2:
        return path[:1]
    head, *rest = path
    if head == "steps":
        return _of_step(data, ("steps",), rest)
    if head == "handlers":
        return _of_step(data, ("handlers", rest[0]), rest[1:])
    if head == "schedule" and not isinstance(data.get("schedule"), list):
        return ("schedule", *rest[1:])
    return path


def _of_step(data: Mapping[str, Any], where: KeyPath, rest: list[str | int]) -> KeyPath:
    listed: Any = data
    for key in where:
        listed = listed.get(key) if isinstance(listed, Mapping) else None
    steps = listed if isinstance(listed, list) else []
    for index, step in enumerate(steps):
        if rest and isinstance(step, Mapping) and step.get("id") == rest[0]:
            own = rest[1:]
            if own and (body := _template(data, step, own)) is not None:
                return (*body, *own)
            defaults = data.get("defaults")
            if own and own[0] not in step and isinstance(defaults, Mapping) and own[0] in defaults:
                return ("defaults", *own)
            return (*where, index, *own)
    return where


def _template(data: Mapping[str, Any], step: Mapping[str, Any], own: list[Any]) -> KeyPath | None:
    """Return where a step's template stands, if the file has it and the key is its own."""
    path: KeyPath = ("templates", step.get("template", ""), "step")
    if "template" not in step or _has(step, own) or not _has(data, [*path, own[0]]):
        return None
    return path


def _has(data: Any, path: Sequence[Any]) -> bool:
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return False
        data = data[key]
    return True


def place_of_finding(
    document: Document, path: KeyPath, *, of_key: bool = False, line: int = 0, word: str = ""
) -> Position:
    """Return the place of what was found at a path, or on a line of the text that stands there."""
    at = document.at(path, key=of_key)
    if of_key or not line or at.line > len(document.lines):
        return at
    return place_in_text(document.lines, at, line, word)


def place_in_text(lines: Sequence[str], at: Position, line: int, word: str) -> Position:
    """Return the place of a line of a text that is written in a YAML file at `at`.

    `line` counts from 1. The column is that of `word`, where it stands on the line once. A text
    whose lines are not the file's lines (folded, or with escapes) has its own place only.
    """
    literal = lines[at.line - 1][at.column - 1 : at.column] == "|"
    if not literal:
        return at if line > 1 else Position(at.line, _column(lines[at.line - 1], word, at.column))
    if at.line + line > len(lines):
        return at
    return place_of_word(lines, at.line + line, word)


def place_of_word(lines: Sequence[str], line: int, word: str) -> Position:
    """Return where a word stands on a line, or where the line begins."""
    text = lines[line - 1]
    return Position(line, _column(text, word, len(text) - len(text.lstrip()) + 1))


def _column(text: str, word: str, otherwise: int) -> int:
    start = otherwise - 1
    found = text.find(word, start) if word else -1
    unique = found >= 0 and text.find(word, found + 1) < 0
    return found + 1 if unique else otherwise
