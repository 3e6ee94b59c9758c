"""Imports the libraries that some files need, and says what to install where one is missing."""

from importlib import import_module
from typing import Any

from headrace.errors import JobFailure


def library(module: str, what: str, extra: str = "files") -> Any:
    """Return a module of an optional library; `what` is what cannot be done without it.

    Raises:
        JobFailure: it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise JobFailure(
            f"{what} needs the library {module.partition('.')[0]}, which is not installed: "
            f"pip install 'headrace[{extra}]'"
        ) from None
