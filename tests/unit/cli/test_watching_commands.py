"""Commands that go on by themselves: `top`, the repairs of a run, the parts of `up`; and `init`."""

import io
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import project, running, services, supervisor, top
from headrace.cli.program import main
from headrace.errors import ConfigError, QueueUnavailable, StoreUnavailable
from headrace.observe.terminal_text import VisibleStream
from headrace.store import embedded

# -- top ------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def overview(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[str], list[float]]]:
    """Shows an overview of these looks; returns what was printed and the pauses."""

    def shown(*looks: Any, stream: Any, once: bool, interval: float = 2.0) -> Any:
        left, pauses = list(looks), list[float]()

        @contextmanager
        def installation(_given: Any) -> Any:
            yield None

        def look(_headrace: Any) -> list[str]:
            found = left.pop(0)
            if isinstance(found, BaseException):
                raise found
            return [found]

        monkeypatch.setattr(top, "installation", installation)
        monkeypatch.setattr(top, "_overview", look)
        monkeypatch.setattr("headrace.cli.top.time.sleep", pauses.append)
        monkeypatch.setattr(sys, "stdout", stream)
        given: Any = SimpleNamespace(json=False, once=once, interval=interval)
        assert top.top(given) == 0
        return pauses

    return shown


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_terminal_is_cleared_for_each_look_until_ctrl_c(overview: Any, wrapped: bool) -> None:
    terminal = Terminal()
    stream = VisibleStream(terminal) if wrapped else terminal
    looks = ("one", StoreUnavailable("PostgreSQL does not answer"), "two", KeyboardInterrupt())

    pauses = overview(*looks, stream=stream, once=False)

    clear = "\x1b[H\x1b[2J"
    assert terminal.getvalue() == (f"{clear}one\n{clear}PostgreSQL does not answer\n{clear}two\n")
    assert pauses == [2.0] * 3
    assert overview("one", KeyboardInterrupt(), stream=stream, once=False, interval=0.25) == [0.25]


@pytest.mark.parametrize(("stream", "once"), [(io.StringIO(), False), (Terminal(), True)])
def test_once_or_where_no_terminal_reads_there_is_one_look(
    overview: Any, stream: io.StringIO, once: bool
) -> None:
    assert overview("one", stream=stream, once=once) == []
    assert stream.getvalue() == "one\n"
    with pytest.raises(StoreUnavailable):
        overview(StoreUnavailable("away"), stream=stream, once=once)


# -- what a run brings with it ----------------------------------------------------------


@pytest.mark.parametrize(
    ("age_s", "hostname", "pid_lives", "lives"),
    [
        (0.0, "elsewhere", False, True),
        (0.0, "here", True, True),
        (0.0, "here", False, False),
        (60.0, "elsewhere", True, False),
        (60.0, "here", True, False),
    ],
)
def test_a_worker_lives_that_was_heard_of_and_here_has_its_process(
    monkeypatch: pytest.MonkeyPatch, age_s: float, hostname: str, pid_lives: bool, lives: bool
) -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    monkeypatch.setattr("headrace.cli.running.socket.gethostname", lambda: "here")
    monkeypatch.setattr("headrace.queue.process.birth_ticks", lambda _pid: 5 if pid_lives else None)

    row = {"seen_at": now - timedelta(seconds=age_s), "hostname": hostname, "pid": 7}
    assert running._lives(row, now) == lives


class Over(BaseException):
    """Ends what has no end."""


def test_repairs_go_on_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Any] = [StoreUnavailable("away"), None, QueueUnavailable("away"), None, Over()]
    pauses: list[float] = []
    done: list[Any] = []

    class Recovery:
        def __init__(self, *_given: Any) -> None:
            """As the daemon's."""

        def tick(self) -> None:
            look = looks.pop(0)
            done.append(look)
            if look is not None:
                raise look

    class Bell(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0.0)
            return False

    monkeypatch.setattr("headrace.engine.operations.recovery.Recovery", Recovery)
    monkeypatch.setattr("headrace.store.listen_notify.listen", lambda *_given, **_more: None)
    monkeypatch.setattr("headrace.cli.running.time.sleep", done.append)
    monkeypatch.setattr("headrace.cli.running.threading.Event", Bell)
    headrace: Any = SimpleNamespace(
        database=None, sender=None, subpipelines=None, database_url="",
        settings=SimpleNamespace(connections={}),
    )  # fmt: skip

    with pytest.raises(Over):
        running._live_repairs(headrace)

    assert [type(one) for one in done] == [
        StoreUnavailable, float, type(None), QueueUnavailable, float, type(None), Over,
    ]  # fmt: skip
    assert [one for one in done if isinstance(one, float)] == [1.0, 1.0]
    assert pauses == [1.0] * 4


# -- up and web -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "asked", "began", "code"),
    [
        ((3,), (False,), 1, 3),
        ((0,), (True,), 1, 0),
        ((0, 2), (False, False), 2, 2),
        ((0, 0), (False, True), 2, 0),
        ((0, 0, 5), (False, False, False), 3, 5),
    ],
)
def test_the_parts_begin_only_after_all_that_comes_before_them(
    monkeypatch: pytest.MonkeyPatch,
    codes: tuple[int, ...],
    asked: tuple[bool, ...],
    began: int,
    code: int,
) -> None:
    made: list[list[str]] = []

    class Trees:
        def __init__(self, parts: Any, **_patience: float) -> None:
            made.append([part.name for part in parts])
            self.asked_to_stop = asked[len(made) - 1]

        def run(self) -> int:
            return codes[len(made) - 1]

    monkeypatch.setattr(supervisor, "Supervisor", Trees)
    monkeypatch.setattr(services, "_import_parts", lambda _headrace: None)
    monkeypatch.setattr(services, "_all_parts", lambda *_given: [SimpleNamespace(name="daemon")])
    headrace: Any = SimpleNamespace(
        use_keys=lambda _keys: None,
        pipelines=SimpleNamespace(refresh=lambda: None),
        settings=SimpleNamespace(grace_s=1.0, kill_after_s=1.0),
    )

    assert services._run_tree(headrace, None) == code
    assert made == [["set-up"], ["set-up"], ["daemon"]][:began]


# -- init -------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").write_text("")

    assert main(["init", str(tmp_path / "file" / "etl")]) == ConfigError.exit_code

    told = f"{tmp_path}/file/etl cannot be written: Not a directory\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("missing", [None, "the embedded servers are not installed."])
def test_what_comes_next_is_told_as_it_can_be_done_here(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch, missing: str | None
) -> None:
    monkeypatch.setattr(embedded, "missing", lambda: missing)
    monkeypatch.setattr(project, "_call", lambda: "headrace")

    assert main(["init", str(tmp_path / "etl")]) == 0

    last = capsys.readouterr().out.splitlines()[-2:]
    if missing is None:
        call = f"Without make, in this environment: cd {tmp_path}/etl && headrace run hello"
        assert last[1] == call
    else:
        assert last == [
            "In this environment the embedded servers are not installed.",
            "`make` installs them in the project's own .venv.",
        ]


def test_headrace_is_called_by_the_shortest_name_that_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert project._call() == f"{tmp_path}/python -m headrace"
    (tmp_path / "headrace").write_text("")
    assert project._call() == f"{tmp_path}/headrace"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert project._call() == "headrace"
