"""Finds the origin of each setting: a variable, the configuration file, or none."""

import os
from collections.abc import Mapping

from headrace.declarations.config.environment import overrides, variable_of
from headrace.declarations.config.settings import Settings
from headrace.declarations.source import Document, KeyPath, read, scan, shown_path
from headrace.errors import Problem
from headrace.model.origin import BUILT_IN, Origin


class SettingOrigins:
    """Finds where the values of the keys of `config.yaml` came from."""

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        self._variables, _ = overrides(os.environ if environ is None else environ)
        self._document = _document(settings)

    def of(self, path: KeyPath) -> Origin:
        """Return where the value of a key came from."""
        if path in self._variables:
            return Origin("environment", name=variable_of(path) or "")
        document = self._document
        if document is None or not _holds(document.data, path):
            return BUILT_IN
        return Origin("config", document.file, document.at(path, key=True).line)


def _document(settings: Settings) -> Document | None:
    if settings.config_file is None:
        return None
    content = read(settings.config_file)
    if isinstance(content, Problem):
        return None
    return scan(content, shown_path(settings.config_file))[0]


def _holds(data: object, path: KeyPath) -> bool:
    for key in path:
        if not isinstance(data, dict) or data.get(str(key)) is None:
            return False
        data = data[key]
    return True
