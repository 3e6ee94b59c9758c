"""How a command ends, whatever it raises, and whatever its standard output is."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from headrace.cli import outlet, program
from headrace.cli.growing_log import _RunJobs
from headrace.cli.installation_access import control_url
from headrace.cli.listings import rq_line
from headrace.cli.program import main
from headrace.cli.run_client import RunClient
from headrace.cli.supervisor import Part, Supervisor
from headrace.declarations.config import Settings
from headrace.errors import NotFound
from headrace.store import embedded
from tests.support.fake_database import FakeDatabase
from tests.support.in_fork import in_fork

AT = datetime(2026, 7, 1, tzinfo=UTC)


class UndefinedTable(Exception):
    pgcode = "42P01"


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], int]]:
    """Carries out a function as the command `version`; the streams and signals stay the test's."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(outlet, "prepare", lambda: None)
    monkeypatch.setattr(program, "_write_controls_out", lambda: None)
    monkeypatch.setattr(program, "_read", lambda _words: SimpleNamespace(command="x:y"))

    def carried_out(function: Any) -> int:
        monkeypatch.setattr(program, "_carry_out", lambda _given: function())
        return main(["x"])

    yield carried_out
    for number, handler in signals.items():
        signal.signal(number, handler)


def raising(error: BaseException) -> Callable[[], int]:
    def function() -> int:
        raise error

    return function


def test_each_end_has_its_exit_code_and_its_words(
    ends: Callable[[Any], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == ""
    assert ends(raising(UndefinedTable("relation does not exist"))) == 1
    told = "the database has no Headrace schema; `headrace db upgrade` creates it\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("error", [ValueError("odd"), OSError(5, "Input/output error", "a.csv")])
def test_what_nobody_has_thought_of_is_not_hidden(
    ends: Callable[[Any], int], error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        ends(raising(error))

    assert caught.value is error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_through_all_that_tidies_up(
    ends: Callable[[Any], int], number: signal.Signals
) -> None:
    tidied: list[bool] = []

    def command() -> int:
        try:
            signal.raise_signal(number)
        finally:
            tidied.append(True)
        return 0

    with pytest.raises(SystemExit) as caught:
        ends(command)

    assert (caught.value.code, tidied) == (143, [True])


# -- standard output ------------------------------------------------------------------


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_what_was_closed_leads_nowhere_here_and_in_programs(closed: tuple[int, ...]) -> None:
    def command() -> None:
        for descriptor in closed:
            os.close(descriptor)
        streams: Any = sys
        streams.stdout = streams.stderr = None

        outlet.prepare()

        assert (streams.stdout.fileno(), streams.stderr.fileno()) == (1, 2)
        shown = {str(Path(f"/proc/self/fd/{one}").readlink()) for one in closed}
        assert shown == {"/dev/null"}
        # None of them is closed in a program that gets them as they are.
        done = subprocess.run(["/bin/sh", "-c", "true <&0 && true >&1 && true >&2"], check=False)
        assert done.returncode == 0

    in_fork(command)


def test_a_standard_stream_of_any_kind_is_prepared_and_wrapped_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    below = io.BytesIO()
    in_memory, narrow = io.StringIO(), io.TextIOWrapper(below, encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", in_memory)
    monkeypatch.setattr(sys, "stderr", narrow)
    outlet.prepare()
    program._write_controls_out()
    wrapped: list[Any] = [sys.stdout, sys.stderr]
    program._write_controls_out()

    assert [sys.stdout, sys.stderr] == wrapped
    assert [one.plain for one in wrapped] == [in_memory, narrow]
    print("é\x1b", file=sys.stderr)
    print("é\x1b")
    assert below.getvalue() == b"\\xe9\\u001b\n"
    assert in_memory.getvalue() == "é\\u001b\n"


def test_what_is_left_of_a_full_disk_s_output_is_thrown_away_in_silence() -> None:
    class Full:
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    def command() -> None:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        streams: Any = sys
        streams.stdout = Full()

        outlet.flush()

        os.write(1, b"more")
        assert os.read(reader, 10) == b"", "nothing writes to what it was"

    in_fork(command)


def test_a_run_goes_on_whose_output_goes_to_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = RunClient(SimpleNamespace(), SimpleNamespace(json=False))  # type: ignore[arg-type]
    silenced: list[bool] = []
    monkeypatch.setattr(outlet, "silence", lambda: silenced.append(True))

    def flush() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(flush=flush))
    client._flush()
    assert silenced == [True]
    assert capsys.readouterr().err == (
        "standard output cannot be written: No space left on device\n"
    )

    def broken() -> None:
        raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(flush=broken))
    with pytest.raises(BrokenPipeError):
        client._flush()


def test_a_reader_that_has_seen_enough_of_a_run_ends_the_client_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = RunClient(SimpleNamespace(), SimpleNamespace(json=False))  # type: ignore[arg-type]
    silenced: list[bool] = []
    monkeypatch.setattr(outlet, "silence", lambda: silenced.append(True))
    client._given.pipeline = "p"
    monkeypatch.setattr("headrace.cli.run_client.logical_date_of", raising_with(BrokenPipeError()))

    assert client.run({}) == 0

    assert silenced == [True]
    assert capsys.readouterr().err == ""


def raising_with(error: BaseException) -> Callable[..., Any]:
    def function(*_given: Any, **_more: Any) -> Any:
        raise error

    return function


# -- parts and installations ------------------------------------------------------------


def test_a_run_that_was_deleted_is_told_while_its_log_is_followed() -> None:
    run = UUID(int=7)
    database = FakeDatabase({"visible_until": [{"visible_until": AT}]})
    headrace: Any = SimpleNamespace(database=database)
    jobs = _RunJobs(headrace, run)

    with pytest.raises(NotFound, match=f"^the run {run} was deleted$"):
        jobs.look()


def test_the_embedded_database_is_asked_only_while_it_runs(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(tmp_path, tmp_path / "home", tmp_path)
    found = embedded.Servers("postgresql://own", "redis://own")
    monkeypatch.setattr(embedded, "find", lambda home: found if home == settings.home else None)

    assert control_url(settings) == "postgresql://own"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", '"$REDIS_URL"'),
        ("redis://h:1/0?password=secret", '"$REDIS_URL"'),
        (
            "redis+sentinel://:secret@a:1,b:1/main/0",
            "redis://:PASSWORD@HOST:PORT/DATABASE (of the Redis that leads at the moment)",
        ),
    ],
)
def test_the_line_for_rq_s_own_programs_shows_no_password(url: str, shown: str) -> None:
    headrace: Any = SimpleNamespace(redis_url=url, keys=SimpleNamespace(prefix="headrace-x"))

    assert rq_line(headrace) == f"RQ_KEY_PREFIX=headrace-x rq info --url {shown}"


def test_a_second_signal_reminds_the_parts_to_end_at_once() -> None:
    def tree() -> None:
        reader, writer = os.pipe()

        def stubborn() -> int:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            os.write(writer, b"!")
            for _ in range(2):
                signal.sigwait([signal.SIGTERM])
                os.write(writer, b"!")
            return 0

        supervisor = os.fork()
        if supervisor == 0:
            os._exit(Supervisor([Part("a", stubborn)], patience_s=30.0).run())
        os.close(writer)
        for _ in range(2):
            os.read(reader, 1)
            os.kill(supervisor, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1]) == 0
        assert os.read(reader, 1) == b"!", "it has heard the second one"

    in_fork(tree)
