"""Files of an export that go to a server: what is said where it takes some of them only."""

from pathlib import Path

import pytest

from headrace.errors import JobFailure
from headrace.jobs.remote import remote_files


def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refused: str) -> str:
    def _store(url: str, _local: Path) -> None:
        if url == refused:
            raise JobFailure(f"{url}: no room")

    monkeypatch.setattr(remote_files, "_store", _store)
    monkeypatch.setattr(remote_files, "location_of", lambda url: url)
    with pytest.raises(JobFailure) as error, remote_files.StoredFiles("s3://b/x.csv") as files:
        files._written = {f"s3://b/x-{n}.csv": tmp_path / str(n) for n in (1, 2, 3)}
    return str(error.value)


def test_the_files_that_are_stored_already_are_named(monkeypatch, tmp_path):
    told = store(monkeypatch, tmp_path, "s3://b/x-3.csv")
    assert told.startswith("s3://b/x-3.csv: no room; of the export's 3 files")
    assert told.endswith("s3://b/x-1.csv, s3://b/x-2.csv")


def test_a_failure_of_the_first_one_stands_by_itself(monkeypatch, tmp_path):
    assert store(monkeypatch, tmp_path, "s3://b/x-1.csv") == "s3://b/x-1.csv: no room"
