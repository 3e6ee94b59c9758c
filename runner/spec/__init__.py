"""Pipeline files → pipelines. One entrance, `load_folder`; every problem with its place."""

from runner.spec.catalogue import Catalogue
from runner.spec.load import (
    LoadedFile,
    LoadResult,
    combine,
    load_file,
    load_files,
    load_folder,
    load_text,
    pipeline_files,
)

__all__ = [
    "Catalogue",
    "LoadResult",
    "LoadedFile",
    "combine",
    "load_file",
    "load_files",
    "load_folder",
    "load_text",
    "pipeline_files",
]
