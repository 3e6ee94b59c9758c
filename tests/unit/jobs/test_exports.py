"""Exports: files that vanish with the next one, and columns that become text."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as arrow
import pytest

from headrace import jobapi
from headrace.jobapi.folders import Folders
from headrace.jobs.copying.query_export import QueryExport
from headrace.jobs.files.exported_files import ExportedFiles

NOBODY: Any = None


# -- files ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folders = Folders(tmp_path, tmp_path, outputs=(tmp_path,))
    jobapi.enter(jobapi.Attempt("j", 1, tmp_path, folders, NOBODY))
    yield tmp_path
    jobapi.enter(None)


def export(path: str, *names: str) -> None:
    with ExportedFiles(path) as files:
        for name in names:
            with files.opened(name) as file:
                file.write(b"1")


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_an_export_removes_its_own_files_and_no_others(folder, caplog):
    """Names of which the first 40 characters are the same share a list."""
    caplog.set_level("INFO")
    ours, list_ = "x" * 40, f".{'x' * 40}.parts"
    theirs = [f"{ours}-b-{number}.csv" for number in (1, 2)]
    export(f"{ours}-b.csv", *theirs)
    assert names_in(folder) == [list_, *theirs]

    export(f"{ours}.csv", f"{ours}-1.csv", f"{ours}-2.csv")
    assert names_in(folder) == [list_, f"{ours}-1.csv", f"{ours}-2.csv", *theirs]
    assert caplog.messages == []

    export(f"{ours}.csv", f"{ours}-2.csv")
    assert names_in(folder) == [list_, f"{ours}-2.csv", *theirs]
    export(f"{ours}.csv", f"{ours}.csv")
    assert names_in(folder) == [*theirs, f"{ours}.csv"]
    assert caplog.messages == [
        f"Removed 1 file of an earlier export to {ours}.csv, which this one has not written:"
        f" {ours}-{number}.csv"
        for number in (1, 2)
    ]


@pytest.mark.parametrize(
    "noted", ["", "{", '{"export": "a.csv", "files": ["../b.csv", "b-1.csv"]}']
)
def test_a_list_that_says_something_else_removes_nothing(folder, noted):
    (folder / ".a.csv.parts").write_text(noted)
    (folder / "b-1.csv").touch()

    export("a.csv", "a-1.csv", "a-2.csv")

    assert names_in(folder) == [".a.csv.parts", "a-1.csv", "a-2.csv", "b-1.csv"]


# -- columns --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "become"),
    [
        ("In CSV column #2: 1e999", ["c"]),
        ("In CSV column #0: 1e999", ["a"]),
        ("In CSV column #1: x", ["a", "c"]),
        ("what no column is named for", ["a", "c"]),
    ],
)
def test_a_column_whose_values_do_not_fit_becomes_text_and_is_told(caplog, reason, become):
    columns: Any = [SimpleNamespace(name=name) for name in "abc"]
    types = [arrow.int64(), arrow.string(), arrow.float64()]

    QueryExport(NOBODY, NOBODY, NOBODY, "out.parquet")._as_text(columns, types, reason)

    expected = [arrow.int64(), arrow.string(), arrow.float64()]
    for name in become:
        expected["abc".index(name)] = arrow.string()
    assert types == expected
    assert caplog.messages == [
        f"out.parquet: the column {name} is written as text: {reason}" for name in become
    ]
