"""Reads what a job's docstring says of its parameters."""

import inspect
import textwrap
from collections.abc import Iterator

_HEADING = "\nParameters:\n"


def meanings_of(cls: type) -> dict[str, str]:
    """Return the meaning of each parameter by name, those of the classes below first."""
    found: dict[str, str] = {}
    for owner in cls.__mro__:
        text = (inspect.cleandoc(owner.__doc__) if owner.__doc__ else "").partition(_HEADING)[2]
        for name, meaning in _parameters(textwrap.dedent(text.partition("\n\n")[0])):
            found.setdefault(name, meaning)
    return found


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield each parameter with its meaning: `name: text`, further lines of it indented."""
    name, parts = "", list[str]()
    for line in text.splitlines():
        if line.startswith(" "):
            parts.append(line.strip())
            continue
        if name:
            yield name, " ".join(parts)
        name, _, meaning = line.partition(":")
        parts = [meaning.strip()]
    if name:
        yield name, " ".join(parts)
