"""Pipeline files → pipelines. One entrance, `load_folder`; every problem with its place."""

from runner.spec.calendar_files import Stamp, stamp
from runner.spec.catalogue import Catalogue
from runner.spec.defaults import DEFAULTS_FILE, Defaults
from runner.spec.lint import lint, silences
from runner.spec.load import (
    LoadedFile,
    LoadResult,
    combine,
    load_file,
    load_files,
    load_folder,
    load_text,
    pipeline_files,
    watched_files,
)
from runner.spec.places import place_in_text, place_of
from runner.spec.tables import SqlUse, uses_of_sql

__all__ = [
    "DEFAULTS_FILE",
    "Catalogue",
    "Defaults",
    "LoadResult",
    "LoadedFile",
    "SqlUse",
    "Stamp",
    "combine",
    "lint",
    "load_file",
    "load_files",
    "load_folder",
    "load_text",
    "pipeline_files",
    "place_in_text",
    "place_of",
    "silences",
    "stamp",
    "uses_of_sql",
    "watched_files",
]
