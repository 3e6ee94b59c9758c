"""`{{ template.NAME }}`: what a step template's parameters become, when the file is loaded."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from headrace.template.syntax import pieces

# In one file: enough for ten thousand steps, and quick to walk through.
MOST_VALUES = 500_000
MOST_CHARACTERS = 10_000_000

# Keys of a step that are texts, whatever the parameter's type.
_TEXTS = ("when", "description")
# Keys of a step that are mappings of texts.
_OF_TEXTS = ("env",)


class TooLarge(Exception):
    """The templates of one file expand to more than is good for anyone."""


class NoText(Exception):
    """A null or a list stands inside a text. `name` is the parameter."""

    def __init__(self, name: str, kind: str) -> None:
        super().__init__(f"{kind} cannot be inside a text")
        self.name = name


def names_in(text: str) -> list[str]:
    """Return the parameters that a text names, in their order."""
    return [name for _start, _end, name in _references(text)]


def name_of_whole(text: str) -> str | None:
    """Return the parameter that is the whole of a text, or None."""
    found = _references(text)
    return found[0][2] if len(found) == 1 and found[0][:2] == (0, len(text)) else None


def without_names(text: str) -> str:
    """Return the text without what is replaced."""
    kept, end = [], 0
    for start, after, _name in _references(text):
        kept.append(text[end:start])
        end = after
    return "".join((*kept, text[end:]))


def _references(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return where a text says `{{ template.NAME }}`, and which name: start, end, name."""
    return _remembered(text) if "template" in text and "{{" in text else ()


@lru_cache(maxsize=1024)
def _remembered(text: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(_found(text))


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    for start, end, words in pieces(text):
        if words is not None and len(words) == 3 and words[:2] == ("template", "."):
            yield start, end, words[2]


class Substitution:
    """Replaces parameters by values. One for a file: it counts what it makes.

    Other templates stay as they are: they are rendered later, those inside a value too.
    """

    def __init__(self) -> None:
        self._values = 0
        self._characters = 0

    def step(self, body: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a template's step says with these values.

        Raises:
            NoText, TooLarge: as they say.
        """
        return {key: self._part(key, part, values) for key, part in body.items()}

    def _part(self, key: str, part: Any, values: Mapping[str, Any]) -> Any:
        if key in _TEXTS and isinstance(part, str):
            return self._text(part, values)
        if key in _OF_TEXTS and isinstance(part, dict):
            return {
                name: self._text(text, values) if isinstance(text, str) else text
                for name, text in part.items()
            }
        return self._of(part, values)

    def _of(self, value: Any, values: Mapping[str, Any]) -> Any:
        self._spend(1, 0)
        if isinstance(value, dict):
            return {key: self._of(part, values) for key, part in value.items()}
        if isinstance(value, list):
            return [self._of(part, values) for part in value]
        if not isinstance(value, str) or "{{" not in value:
            return value
        name = name_of_whole(value)
        if name is None:
            return self._text(value, values)
        if name not in values:
            return value
        self._spend(_size(values[name]), 0)
        return values[name]

    def _text(self, text: str, values: Mapping[str, Any]) -> str:
        said: list[str] = []
        end = 0
        for start, after, name in _references(text):
            if name in values:
                piece = _text_of(name, values[name])
                said += (text[end:start], piece)
                end = after
                self._spend(0, len(piece))
        return "".join((*said, text[end:]))

    def _spend(self, values: int, characters: int) -> None:
        self._values += values
        self._characters += characters
        if self._values > MOST_VALUES or self._characters > MOST_CHARACTERS:
            raise TooLarge


def _text_of(name: str, value: Any) -> str:
    """Return a value inside a text, as YAML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, list | dict):
        raise NoText(name, "null" if value is None else "a list")
    return str(value)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1
