"""URLs of databases that are files: whatever the project's folder is called."""

from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.model.connection import located
from headrace.store.others.file_urls import file_of


@pytest.mark.parametrize("folder", ["plain", "C#", "what?", "100%25", "50% off", "ä b", "a%41"])
def test_a_file_lies_in_the_project_whatever_its_folder_is_called(
    folder: str, tmp_path: Path
) -> None:
    project = tmp_path / folder

    assert file_of(located("sqlite:///data/shop%23.db", project), "x") == f"{project}/data/shop#.db"
    assert file_of(located("duckdb:////srv/shop.db", project), "x") == "/srv/shop.db"


@pytest.mark.parametrize(
    "url",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?b", "sqlite:///a#b",
     "sqlite://host/a"],
)  # fmt: skip
def test_what_names_no_file_is_refused_with_how_one_is_written(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        file_of(url, "shop")

    assert str(refused.value) == (
        'the URL of the connection "shop" names no file: write sqlite:///shop.db for one beside'
        " config.yaml, sqlite:////srv/shop.db for an absolute path, and in a name %3F for ?, %23"
        " for # and %25 for %"
    )
