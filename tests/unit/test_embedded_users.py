"""Who uses the embedded servers: a test that borrows them, and who looks after them."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import ConfigError, EmbeddedError
from headrace.store import embedded
from headrace.store.embedded import borrowed, keeper, launch
from headrace.store.embedded.home import token_of, why_not_ours


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"error": "no room"}', "no room"),
        ("", "the embedded servers cannot be started"),
    ],
)
def test_what_a_keeper_says_is_the_error_of_who_borrows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{said}'\n" if said else "#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("headrace.store.embedded.borrowed.sys.executable", str(program))
    monkeypatch.setattr("headrace.store.embedded.borrowed.atexit.register", lambda *_given: None)

    with pytest.raises(EmbeddedError, match=f"^{told}$"):
        borrowed.borrowed_url.__wrapped__()


def test_a_keeper_that_cannot_start_them_says_so_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    homes: list[Path] = []

    def start(home: Path) -> Any:
        homes.append(home)
        raise EmbeddedError("no room")

    monkeypatch.setattr(embedded, "start", start)
    monkeypatch.setattr(embedded, "stop", homes.append)
    borrowed.keep()

    assert json.loads(capsys.readouterr().out) == {"error": "no room"}
    assert homes[0] == homes[1]
    assert not homes[0].parent.exists()


def test_who_looks_after_them_says_each_error_once_and_waits_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paused: list[float] = []
    errors = iter(["no room", "no room", "no port", "", "no port", *["away"] * 6])
    found = iter([None, None, None, None, "up", *[None] * 7])

    def pause(seconds: float) -> None:
        paused.append(seconds)

    def start(_home: Path) -> None:
        if (error := next(errors, None)) is None:
            raise KeyboardInterrupt
        if error:
            raise EmbeddedError(error)

    monkeypatch.setattr("headrace.store.embedded.keeper.time.sleep", pause)
    monkeypatch.setattr(keeper, "find", lambda _home: next(found))
    monkeypatch.setattr(keeper, "start", start)
    with caplog.at_level("WARNING", "headrace.up"), suppress(KeyboardInterrupt, StopIteration):
        keeper.keep_running(tmp_path)

    restarting = "an embedded server has exited; restarting it"
    assert [line for line in caplog.messages if line != restarting] == [
        "no room", "no port", "the embedded servers are running again", "no port", "away",
    ]  # fmt: skip
    assert paused == [1.0, 2.0, 4.0, 8.0, 8.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(1, "Operation not permitted"), "Operation not permitted"),
        (OSError("no identity"), "no identity"),
    ],
)
def test_an_identity_that_cannot_be_taken_is_told_among_the_errors(
    error: OSError,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def become(identity: str) -> None:
        assert identity == "setuid:7:8"
        raise error

    monkeypatch.setattr(launch, "become", become)

    assert launch.main(["setuid:7:8", "run", "/bin/false"]) == 3
    assert capsys.readouterr() == ("", f"cannot become setuid:7:8: {told}\n")


def test_a_check_finds_out_whether_all_files_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "become", lambda _identity: None)
    there, missing = str(tmp_path), str(tmp_path / "missing")

    assert launch.main(["own", "check", there]) == 0
    assert launch.main(["own", "check", there, missing]) == 4


# -- the home -----------------------------------------------------------------------------


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    for path, why in ((tmp_path / "home", "File exists"), (tmp_path / "home/x", "Not a directory")):
        with pytest.raises(ConfigError) as told:
            token_of(path)
        assert str(told.value) == (
            f"{path}: cannot be created: {why}; choose another HEADRACE_HOME"
        )


@pytest.mark.parametrize("text", ["", "  \n", "1234567\n"])
def test_a_token_that_can_be_guessed_is_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)

    with pytest.raises(ConfigError) as told:
        token_of(tmp_path)
    assert str(told.value) == (f"{file}: contains no token; remove it, and a new one is created")

    file.write_text("12345678\n")
    assert token_of(tmp_path) == "12345678"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_home_of_a_user_without_a_name_is_told_by_the_number(tmp_path: Path) -> None:
    os.chown(tmp_path, 54321, -1)

    assert why_not_ours(tmp_path) == (
        "belongs to user id 54321: run Headrace as user id 54321, or choose another HEADRACE_HOME"
    )
