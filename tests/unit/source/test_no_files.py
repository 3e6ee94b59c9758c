"""What bears a pipeline's name and is no file: a problem of it, and waited for by nobody."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.declarations.source import MAX_BYTES, read
from headrace.errors import Problem


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def _folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_fifo, "is a named pipe"),
        (_socket, "is a socket"),
        (_device, "is a device"),
        (_terminal, "is a device"),
        (_folder, "is a folder"),
    ],
)
@pytest.mark.timeout(60)
def test_what_is_no_file_is_a_problem_of_it(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.yaml"
    make(path)

    found = read(path)

    assert isinstance(found, Problem)
    assert (found.code, found.message, found.hint) == (
        "unreadable-file",
        f"{said}, not a file that can be read",
        "move it elsewhere, or give it another name",
    )


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    with path.open("wb") as file:
        file.truncate(1 << 40)

    found = read(path)

    assert isinstance(found, Problem)
    assert found.code == "too-large"
    assert f"{MAX_BYTES // 1_000_000} MB" in found.message


def test_a_pipe_that_takes_the_files_place_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, file = tmp_path / "p.yaml", tmp_path / "file"
    os.mkfifo(path)
    file.touch()
    before = file.stat()
    monkeypatch.setattr(Path, "stat", lambda _self, **_options: before)

    assert isinstance(read(path), Problem)
