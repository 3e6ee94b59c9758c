"""Processes of this host: known, ended with what they have started, asked for their stack."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.queue import process, process_tree
from headrace.queue.child import Child
from headrace.queue.keys import Keys
from headrace.queue.private_rq import _imported_anew, _of_rq, _variable, worker_class
from headrace.queue.process import (
    birth_ticks,
    die_with_parent,
    has_ended,
    host_mark,
    kill_group,
    kill_tree,
    process_name,
    reset_signals,
    resident_bytes,
    runnable_ns,
)
from headrace.queue.process_tree import Process, descendants, kill, read_process, reap_adopted
from headrace.queue.traces import Traces
from tests.support.in_fork import in_fork
from tests.support.processes import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
NOBODY = 2**22 + 1


@pytest.fixture
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    """A process with another one below it, in a group of their own."""
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True) as popen:
        yield popen
        with contextlib.suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)


@pytest.fixture
def zombie() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    wait_until(lambda: getattr(read_process(pid), "zombie", False), what="its end")
    yield pid
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_process_is_known_by_its_number_and_its_birth(zombie: int) -> None:
    own = read_process(os.getpid())
    assert own is not None
    assert (own.pid, own.parent, own.zombie) == (os.getpid(), os.getppid(), False)
    assert own.birth == birth_ticks(os.getpid())
    first = birth_ticks(1)
    assert first is not None
    assert own.birth >= first
    assert birth_ticks(zombie) is None
    assert birth_ticks(NOBODY) is None
    assert read_process(NOBODY) is None


def test_without_proc_a_process_that_lives_has_no_birth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "read_process", lambda _pid: None)
    assert birth_ticks(os.getpid()) is None
    monkeypatch.setattr("headrace.queue.process.sys.platform", "darwin")
    assert birth_ticks(os.getpid()) == 0
    assert birth_ticks(NOBODY) is None

    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr("headrace.queue.process.os.kill", forbidden)
    assert birth_ticks(NOBODY) == 0, "it is another user's"


def test_a_process_that_ends_while_it_is_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    def gone(_file: int, _count: int) -> bytes:
        raise ProcessLookupError

    with monkeypatch.context() as patched:
        patched.setattr("headrace.queue.process_tree.os.read", gone)
        assert read_process(os.getpid()) is None
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_name_tells_host_and_process_and_whether_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = process_name()
    host, pid, mark = name.rsplit(".", 2)

    assert (host, pid) == (socket.gethostname()[:24], str(os.getpid()))
    assert len(host_mark()) == 4
    assert mark.startswith(host_mark())
    assert len(mark) == 10
    assert process_name() != name
    assert not has_ended(name)
    assert has_ended(f"{host}.{NOBODY}.{mark}")
    for other in (
        f"far.{NOBODY}.{mark}",
        f"{host}.{NOBODY}.zzzz{mark}",
        f"{host}.{mark}",
        f"{host}.x.{mark}",
        host,
        "",
    ):
        assert not has_ended(other)
    monkeypatch.setattr("headrace.queue.process.socket.gethostname", lambda: "h" * 40)
    assert process_name().partition(".")[0] == "h" * 24


def test_memory_and_processor_time_are_those_of_the_process() -> None:
    assert resident_bytes(os.getpid()) > 5 << 20
    assert resident_bytes(os.getpid()) % os.sysconf("SC_PAGE_SIZE") == 0
    assert resident_bytes(NOBODY) == 0
    used = runnable_ns(os.getpid())
    assert used is not None
    assert used > 1_000_000
    assert runnable_ns(NOBODY) is None


def test_a_process_that_sleeps_uses_no_processor(sleeper: "subprocess.Popen[bytes]") -> None:
    wait_until(lambda: runnable_ns(sleeper.pid) is None, what="its sleep")


def below(popen: "subprocess.Popen[bytes]") -> Process:
    found: list[Process] = wait_until(lambda: descendants(popen.pid), what="its child")
    return found[0]


def is_gone(one: Process) -> bool:
    now = read_process(one.pid)
    return now is None or now.birth != one.birth or now.zombie


@pytest.mark.parametrize("end", [kill_group, kill_tree])
def test_a_process_ends_with_what_it_has_started(
    sleeper: "subprocess.Popen[bytes]", end: Any
) -> None:
    child = below(sleeper)

    end(sleeper.pid)

    assert sleeper.wait() == -signal.SIGKILL
    wait_until(lambda: is_gone(child), what="the end of its child")
    end(sleeper.pid)  # Of nobody it is nothing.


def test_what_has_left_the_group_ends_with_the_tree() -> None:
    command = "setsid sleep 60 & wait"
    with subprocess.Popen(["sh", "-c", command], start_new_session=True) as popen:
        child = below(popen)

        kill_tree(popen.pid)

    wait_until(lambda: is_gone(child), what="the end of its child")


def test_a_process_that_leads_no_group_is_signalled_itself() -> None:
    with subprocess.Popen(["sleep", "60"]) as popen:
        kill_group(popen.pid, signal.SIGTERM)
        assert popen.wait() == -signal.SIGTERM


def test_a_child_whose_parent_has_gone_before_it_could_say_so_ends() -> None:
    pid = os.fork()
    if pid == 0:
        die_with_parent(os.getppid() + 1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1

    pid = os.fork()
    if pid == 0:
        die_with_parent(os.getppid())
        os._exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7


def test_a_child_ends_with_its_parent() -> None:
    program = """
import os, sys, time
from headrace.queue.process import die_with_parent
parent = os.getpid()
if os.fork() == 0:
    die_with_parent(parent)
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as popen:
        assert popen.stdout is not None
        child = read_process(int(popen.stdout.readline()))
        assert child is not None
        popen.kill()

    wait_until(lambda: is_gone(child), what="the end of its child")


def test_a_kill_says_whether_it_was_to_be_had(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    found = read_process(sleeper.pid)
    assert found is not None

    def refusing(error: type[Exception]) -> Any:
        def refuse(_pid: int, _signal: int) -> None:
            raise error

        return refuse

    for error, killed in ((PermissionError, False), (ProcessLookupError, True)):
        with monkeypatch.context() as patched:
            patched.setattr("headrace.queue.process_tree.os.kill", refusing(error))
            assert kill(found) == killed
    assert kill(found)
    assert sleeper.wait() == -signal.SIGKILL
    assert kill(found), "it has ended"


def test_only_an_own_child_is_reaped_and_only_once(zombie: int) -> None:
    found = read_process(zombie)
    assert found is not None
    other = Process(found.pid, 1, found.birth, zombie=True)

    assert not process_tree._reap(other)
    assert process_tree._reap(found)
    assert not process_tree._reap(found)


def test_every_child_that_has_ended_is_reaped_and_nobody_is_waited_for() -> None:
    def alone() -> None:
        reap_adopted()  # Without a child it is nothing.
        for _ in range(2):
            if os.fork() == 0:
                os._exit(0)
        if (living := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        own = os.getpid()
        wait_until(lambda: sum(one.zombie for one in descendants(own)) == 2, what="their end")
        reap_adopted()
        assert [one.pid for one in descendants(own)] == [living]
        os.kill(living, signal.SIGKILL)

    in_fork(alone)


def test_signals_of_a_supervisor_are_forgotten() -> None:
    def forked() -> None:
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        reset_signals()
        assert [signal.getsignal(number) for number in numbers] == [signal.SIG_DFL] * 4

    in_fork(forked)


# -- stacks ---------------------------------------------------------------------------------------


def test_a_stack_is_that_of_the_child_at_hand_with_all_its_threads() -> None:
    traces = Traces(2)
    reader, writer = os.pipe()

    def wait_in_thread() -> None:
        time.sleep(60)

    pid = os.fork()
    if pid == 0:
        traces.listen(1)
        threading.Thread(target=wait_in_thread, daemon=True).start()
        os.write(writer, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)

    first, second = traces.ask(pid, 1), traces.ask(pid, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)

    assert "wait_in_thread" in first
    assert first.count("most recent call first") == 2
    assert second.count("most recent call first") == 2, "the one before is forgotten"
    assert traces.ask(pid, 1) == "", "nobody is there"


# -- RQ -------------------------------------------------------------------------------------------


def test_rq_is_imported_anew_and_what_was_there_is_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rq

    assert rq is sys.modules["rq"]
    before = {name: sys.modules[name] for name in _of_rq()}
    assert "rq.worker" in before
    assert "redis" not in before
    with _imported_anew():
        assert _of_rq() == []
        import rq as anew

        assert anew is not rq
    assert {name: sys.modules[name] for name in _of_rq()} == before

    for value in ("own", None):
        if value:
            monkeypatch.setenv("RQ_KEY_PREFIX", value)
        else:
            monkeypatch.delenv("RQ_KEY_PREFIX")
        with _variable("ours"):
            assert os.environ["RQ_KEY_PREFIX"] == "ours"
        assert os.environ.get("RQ_KEY_PREFIX") == value


def test_one_process_serves_one_installation() -> None:
    def alone() -> None:
        served = worker_class(Keys("headrace-one1"))
        assert served.redis_worker_namespace_prefix.startswith("headrace-one1:")
        assert worker_class(Keys("headrace-one1")) is served
        with pytest.raises(RuntimeError, match="serves headrace-one1, not headrace-two2"):
            worker_class(Keys("headrace-two2"))

    in_fork(alone)


def test_a_file_that_is_gone_is_no_mark_of_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    mark = host_mark()

    def missing(_path: Path, *_given: Any, **_named: Any) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert host_mark() != mark, "the boot is part of it"
    monkeypatch.setattr(Path, "readlink", missing)
    assert len(host_mark()) == 4


def test_a_child_that_somebody_else_has_reaped_has_ended() -> None:
    assert Child(0, NOBODY).poll() == 0


def test_where_there_is_no_proc_nothing_is_known_and_nothing_adopted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert os.getpid() in {one.pid for one in process_tree._all()}
    monkeypatch.setattr(process_tree, "_LINUX", False)

    assert list(process_tree._all()) == []
    assert process_tree._adopts_orphans(), "so that nothing is switched"


def test_where_there_is_no_prctl_it_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []
    system = SimpleNamespace(prctl=lambda *given: asked.append(given))
    monkeypatch.setattr("ctypes.CDLL", lambda *_given, **_named: system)

    def both() -> None:
        die_with_parent(os.getppid())
        process_tree.adopt_orphans()
        process_tree.adopt_orphans(False)

    both()
    assert asked == [(1, signal.SIGKILL, 0, 0, 0), (36, 1, 0, 0, 0), (36, 0, 0, 0, 0)]
    monkeypatch.setattr("headrace.queue.process.sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(process_tree, "_LINUX", False)
    both()
    assert len(asked) == 3


def test_a_stack_is_read_when_no_more_of_it_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    traces = Traces(2)
    pieces = iter([b"", b"", b"thread 1\n", b"thread 2\n", b"", b"too late"])
    signalled: list[tuple[int, int]] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        os.write(traces._files[1].fileno(), next(pieces, b""))

    monkeypatch.setattr("headrace.queue.traces.os.kill", lambda *given: signalled.append(given))
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("headrace.queue.traces.time", clock)

    assert traces.ask(7, 1) == "thread 1\nthread 2\n"
    assert signalled == [(7, signal.SIGUSR1)]
    pieces = iter([])
    began = now[0]
    assert traces.ask(7, 1) == "", "it does not answer"
    assert 0.2 <= now[0] - began < 0.25
