"""Origin of a pipeline's value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# How people read the kinds that have no place worth more than a word.
_WORDS = {"built-in": "built-in default", "environment": "from the environment"}


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of one value; `line` counts from 1, and is 0 where there is none.

    `kind` is one of pipeline (the file says it right there), defaults (of the same file), folder
    (a _defaults.yaml), template, config, environment and built-in. `name` is the template's or
    the variable's. `param` is the template's parameter that is in the value, `given` where the
    step gives it.
    """

    kind: str
    file: str = ""
    line: int = 0
    name: str = ""
    param: str = ""
    given: "Origin | None" = None

    @property
    def place(self) -> str:
        """The file and the line."""
        return f"{self.file}:{self.line}"

    def as_json(self) -> Mapping[str, Any]:
        """Return what is known of it, for a program."""
        told: dict[str, Any] = {"kind": self.kind}
        if self.file:
            told |= {"file": self.file, "line": self.line}
        if self.name:
            told["variable" if self.kind == "environment" else "template"] = self.name
        if self.param:
            told["parameter"] = self.param
        if self.given is not None:
            told["given"] = {"file": self.given.file, "line": self.given.line}
        return told

    def __str__(self) -> str:
        if self.kind in _WORDS:
            return _WORDS[self.kind] + (f", {self.name}" if self.name else "")
        what = {"defaults": "defaults, ", "template": f'template "{self.name}", '}
        text = f"from {what.get(self.kind, '')}{self.place}"
        if self.given is not None:
            text += f", with {self.param} from {self.given.place}"
        return text


BUILT_IN = Origin("built-in")
