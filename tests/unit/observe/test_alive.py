"""The file by which a program that watches sees that a loop turns."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.errors import ConfigError
from headrace.observe import alive


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    yield
    alive.show_in(None)


def test_a_turning_loop_renews_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = tmp_path / "alive"
    alive.show_in(file)
    os.utime(file, (0, 0))
    alive.beat()
    renewed = file.stat().st_mtime
    assert renewed > 0
    os.utime(file, (0, 0))
    now[0] += 1
    alive.beat()
    assert file.stat().st_mtime == 0
    now[0] += 5
    alive.beat()
    assert file.stat().st_mtime >= renewed


def test_a_file_that_cannot_be_written_is_refused_at_the_start_and_told_once_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"alive_file: .*/missing/alive cannot be written"):
        alive.show_in(tmp_path / "missing" / "alive")
    folder = tmp_path / "folder"
    folder.mkdir()
    alive.show_in(folder / "alive")
    (folder / "alive").unlink()
    folder.rmdir()
    monkeypatch.setattr(alive, "_EVERY_S", 0.0)
    alive.beat()
    alive.beat()
    assert caplog.text.count("cannot be written") == 1
    folder.mkdir()
    alive.beat()
    assert (folder / "alive").exists()
    assert caplog.text.count("cannot be written") == 1
    (folder / "alive").unlink()
    folder.rmdir()
    alive.beat()
    alive.beat()
    assert caplog.text.count("cannot be written") == 2, "the next time it is told again"


def test_without_a_file_nothing_is_written(tmp_path: Path) -> None:
    alive.show_in(None)
    alive.beat()
    assert list(tmp_path.iterdir()) == []
