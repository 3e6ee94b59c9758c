"""Where a step's SQL stands: in the step or in a file, which is refused with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.folders import Folders
from headrace.jobs.statements.user_sql import load_source


@pytest.fixture(autouse=True)
def project(tmp_path: Path) -> Iterator[Path]:
    jobapi.enter(jobapi.Attempt("j", 1, tmp_path, Folders(tmp_path, tmp_path), cast("Any", None)))
    yield tmp_path
    jobapi.enter(None)


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"-- \xff", 1), (b"SELECT 1;\n\xff", 2), (b"\xef\xbb\xbf\n\n\xff", 3)],
)
def test_a_script_that_is_not_utf_8_is_told_with_its_line(
    project: Path, content: bytes, line: int
) -> None:
    (project / "a.sql").write_bytes(content)
    with pytest.raises(JobFailure) as failure:
        load_source(None, "a.sql")
    assert str(failure.value) == f"a.sql:{line}: is not UTF-8: invalid start byte"


def test_a_script_that_is_a_dump_is_refused_unread(project: Path) -> None:
    (project / "a.sql").write_text("SELECT 1;".ljust(10_000_000))
    assert load_source(None, "a.sql").text.rstrip() == "SELECT 1;"

    (project / "a.sql").write_bytes(b"\xff" * 10_000_001)
    with pytest.raises(JobFailure) as failure:
        load_source(None, "a.sql")

    assert str(failure.value) == (
        "a.sql is larger than 10 MB, which no SQL script is; rows are loaded by LoadFile"
    )


@pytest.mark.parametrize("given", [(None, None), ("SELECT 1", "a.sql")])
def test_sql_stands_in_one_place(given: tuple[str | None, str | None]) -> None:
    with pytest.raises(JobFailure, match=r"^give either sql or sql_path$"):
        load_source(*given)


def test_an_empty_text_is_given_too() -> None:
    assert load_source("", None).text == ""
