"""`${NAME}` in config.yaml: the value of an environment variable."""

import re
from collections.abc import Mapping
from typing import Any

from headrace.declarations.source import KeyPath, resolve

_REFERENCE = re.compile(r"\$(\$?)\{([^}]*)\}")
_NUMERIC = frozenset({"integer", "number", "boolean"})


class References:
    """Replaces references throughout a document.

    `unset` lists the names without a value; `used` has each key, its text and a name in it.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.unset: list[tuple[KeyPath, str]] = []
        self.used: list[tuple[KeyPath, str, str]] = []

    def replaced(self, value: Any, schema: Mapping[str, Any], path: KeyPath = ()) -> Any:
        """Return the value with every reference replaced.

        Text stays text, whatever the variable holds, except where the schema wants a number or
        true or false.
        """
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            return {
                key: self.replaced(part, properties.get(key, {}), (*path, key))
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [
                self.replaced(part, schema.get("items", {}), (*path, index))
                for index, part in enumerate(value)
            ]
        if isinstance(value, str) and "${" in value:
            text = _REFERENCE.sub(lambda match: self._one(match, path, value), value)
            kind = schema.get("type")
            numeric = isinstance(kind, str) and kind in _NUMERIC
            return resolve(text) if numeric and len(text) < 100 else text
        return value

    def _one(self, match: re.Match[str], path: KeyPath, text: str) -> str:
        escaped, name = match.groups()
        if escaped:
            return match.group()[1:]
        self.used.append((path, text, name))
        if name not in self._environ:
            self.unset.append((path, name))
        return self._environ.get(name, "")
