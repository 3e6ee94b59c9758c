"""Spoils one place of a pipeline, or of an SQL file beside it, as people do.

Nothing of Headrace is used here: what is judged must not make the judge's cases.
"""

import random
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import yaml

Path = tuple[str | int, ...]

# A word of another language, or of another tool, in the place of ours.
_FOREIGN = {
    "completed": ["succeeded", "success", "fertig", "done"],
    "failed": ["error", "fehlgeschlagen", "failure"],
    "all_success": ["all_succeeded", "alle_erfolgreich"],
    "all_done": ["all_finished"],
    "csv": ["CSV", "parquet", "kommagetrennt"],
    "jsonl": ["ndjson ", "jsonlines"],
    "json": ["xml"],
    "replace": ["overwrite", "ersetzen"],
    "desc": ["absteigend", "descending"],
    "high": ["hoch", "urgent"],
    "medium": ["mittel"],
    "date": ["Datum", "day"],
    "integer": ["int", "ganzzahl"],
    "boolean": ["bool"],
    "list": ["array", "liste"],
    "GET": ["HOLE", "get"],
    "latest": ["letzte"],
    "none": ["nothing", "keine"],
    "queue": ["wait"],
    "not": ["nicht"],
    "and": ["und", "&&"],
    "or": ["oder", "||"],
    "in": ["inside"],
    "days": ["Tage", "day"],
    "join": ["concat", "verbinde"],
    "upper": ["uppercase", "gross"],
    "identifier": ["ident", "name"],
    "iso": ["isoformat", "ISO8601"],
    "inlist": ["list_of"],
    "if": ["wenn"],
    "for": ["foreach"],
    "count(*)": ["anzahl(*)", "count(all)"],
    "sum(amount)": ["summe(amount)", "sum(amount, id)"],
    "90d": ["90 days", "3 months", "90 Tage"],
    "Europe/Berlin": ["Europa/Berlin", "CET+1"],
    "select": ["auswählen", "commit; select", "vacuum; select"],
    "insert": ["rollback; insert"],
}
_TYPES: list[Any] = ["text", 5, 0, -5, True, False, None, [], {}, [1, "b"], {"a": 1}, 3.5, "", " "]
_NUMBERS = [-5, -1, 0, 10**9, 10**12, 99_999, 0.5, "1e400"]
_TEMPLATES = [
    lambda inner: "}} " + inner + " {{",
    lambda inner: "{ { " + inner + " } }",
    lambda inner: "{{ " + inner + " }",
    lambda inner: "{% " + inner + " %}",
    lambda inner: "{{ {{ " + inner + " }} }}",
    lambda inner: "{{ " + inner + " | }}",
    lambda inner: "{{ " + inner + " }} and {{ " + inner + " }}",
    lambda inner: "{{ '" + inner + "' }}",
    lambda inner: "'{{ " + inner + " }}'",
    lambda inner: "{{ " + inner + ".__class__ }}",
    lambda inner: "{{ " + inner + "() }}",
    lambda inner: "{{ " + inner + " | uppercase }}",
    lambda inner: "{{ " + inner + " - 1 }}",
    lambda inner: "{{ " + inner + " + 'x' }}",
    lambda inner: "{{ " + inner + ".value }}",
    lambda inner: "{{ " + inner + "[0] }}",
    lambda inner: "{{ " + inner.replace(".", "->", 1) + " }}",
    lambda inner: "{{ " + inner.partition(".")[2] + " }}",
    lambda inner: "${" + inner + "}",
    lambda inner: "$" + inner,
    lambda inner: "{# " + inner + " #}",
]
_BRACES = re.compile(r"\{\{ (.*?) \}\}")


def spoil(
    document: dict[str, Any], sql: dict[str, str], seed: int
) -> tuple[Any, dict[str, str], str]:
    """Return a spoilt copy of a pipeline and its SQL files, and what was done to it."""
    chance = random.Random(seed)
    for _ in range(50):
        files = dict(sql)
        if sql and chance.random() < 0.12:
            name = chance.choice(sorted(sql))
            files[name], told = _spoilt_text(sql[name], chance)
            if files[name] != sql[name]:
                return document, files, f"{name}: {told}"
            continue
        changed = deepcopy(document)
        told = _spoilt(changed, chance)
        if told and changed != document:
            return changed, files, told
    raise AssertionError("nothing could be spoilt")


def written(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=10_000)


def _spoilt(document: Any, chance: random.Random) -> str:
    path, value = chance.choice(list(_places(document, ())))
    kind = chance.random()
    if kind < 0.12 and isinstance(path[-1], str):
        return _misspell_key(document, path, chance)
    if kind < 0.20:
        return _remove(document, path)
    if kind < 0.32:
        return _replace(document, path, chance.choice(_TYPES))
    if isinstance(value, dict | list):
        return ""
    if isinstance(value, bool | int | float):
        return _replace(document, path, chance.choice([*_NUMBERS, str(value), str(value) + "x"]))
    if isinstance(value, str):
        text, told = _spoilt_text(value, chance)
        return f"{told}: {_replace(document, path, text)}" if text != value else ""
    return ""


def _spoilt_text(text: str, chance: random.Random) -> tuple[str, str]:
    kind = chance.random()
    found = list(_BRACES.finditer(text))
    if found and kind < 0.45:
        match = chance.choice(found)
        inner = chance.choice(_TEMPLATES)(match[1])
        return text[: match.start()] + inner + text[match.end() :], "template"
    words = [word for word in _FOREIGN if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
    if words and kind < 0.65:
        word = chance.choice(words)
        other = chance.choice(_FOREIGN[word])
        return re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", other, text, count=1), "word"
    if found and kind < 0.85:
        match = chance.choice(found)
        inner = _misspelt(match[1], chance)
        return text[: match.start(1)] + inner + text[match.end(1) :], "letter in a template"
    return _misspelt(text, chance), "letter"


def _misspelt(text: str, chance: random.Random) -> str:
    letters = [index for index, letter in enumerate(text) if letter.isalnum() or letter in "_./"]
    if not letters:
        return text + "x"
    index = chance.choice(letters)
    kind = chance.randrange(4)
    if kind == 0:
        return text[:index] + text[index + 1 :]
    if kind == 1:
        return text[:index] + text[index] + text[index:]
    if kind == 2 and index + 1 < len(text):
        return text[:index] + text[index + 1] + text[index] + text[index + 2 :]
    return text[:index] + chance.choice("aeioxyz_-") + text[index + 1 :]


def _places(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if path:
        yield path, value
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, part in pairs:
        yield from _places(part, (*path, key))


def _holder(document: Any, path: Path) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def _replace(document: Any, path: Path, value: Any) -> str:
    before = _holder(document, path)[path[-1]]
    _holder(document, path)[path[-1]] = value
    return f"{'.'.join(map(str, path))}: {before!r} -> {value!r}"


def _remove(document: Any, path: Path) -> str:
    del _holder(document, path)[path[-1]]
    return f"{'.'.join(map(str, path))} removed"


def _misspell_key(document: Any, path: Path, chance: random.Random) -> str:
    holder = _holder(document, path)
    name = _misspelt(str(path[-1]), chance)
    items = [(name if key == path[-1] else key, part) for key, part in holder.items()]
    holder.clear()
    holder.update(items)
    return f"key {'.'.join(map(str, path))} -> {name}"
