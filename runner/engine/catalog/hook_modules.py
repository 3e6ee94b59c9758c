"""Loads the modules that `hooks` in config.yaml names."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from headrace.engine.catalog.job_registry import Registry
from headrace.errors import ConfigError
from headrace.jobapi import former_names


def load_hooks(modules: Iterable[str], registry: Registry, project: Path) -> None:
    """Import the modules, whose functions register themselves.

    A file of the project's `jobs/` is `jobs.<file>`, any other module is of an installed package.

    Raises:
        ConfigError: One cannot be imported: a worker without it would leave out calls silently.
    """
    names = list(modules)
    if not names:
        return
    registry.names()  # The project's own files are found by now.
    with former_names.answered(project / "jobs"):
        for name in names:
            try:
                importlib.import_module(former_names.present_name(name) or name)
            except Exception as error:
                raise ConfigError(
                    f"hooks in config.yaml: the module {name} cannot be imported:"
                    f" {type(error).__name__}: {error}\n"
                    "  hint: name a file of jobs/ as jobs.<file>, or a module of an installed"
                    " package"
                ) from error
