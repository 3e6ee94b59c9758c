"""Pipeline files → pipelines. One entrance, `load_folder`; every problem with its place."""

from runner.spec.calendar_files import Stamp, stamp
from runner.spec.catalogue import Catalogue
from runner.spec.defaults import DEFAULTS_FILE, Defaults
from runner.spec.lint import lint
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
from runner.spec.places import place_of

__all__ = [
    "DEFAULTS_FILE",
    "Catalogue",
    "Defaults",
    "LoadResult",
    "LoadedFile",
    "Stamp",
    "combine",
    "lint",
    "load_file",
    "load_files",
    "load_folder",
    "load_text",
    "pipeline_files",
    "stamp",
    "place_of",
    "watched_files",
]
