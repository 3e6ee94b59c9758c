"""Descent: who is killed, who is spared, who is reaped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from headrace.queue.process_tree import descendants, kill, read_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as popen:
        yield popen
        popen.kill()


def test_a_number_that_is_another_process_s_by_now_is_not_killed(
    sleeper: "subprocess.Popen[bytes]",
) -> None:
    found = read_process(sleeper.pid)
    assert found is not None

    kill(replace(found, birth=found.birth - 1))

    sleeper.terminate()
    assert sleeper.wait() == -signal.SIGTERM, "that is what ended it"


def test_what_is_spared_is_not_found(sleeper: "subprocess.Popen[bytes]") -> None:
    own = os.getpid()
    assert sleeper.pid in [one.pid for one in descendants(own)]
    assert sleeper.pid not in [one.pid for one in descendants(own, {sleeper.pid})]


def test_a_process_reaps_what_it_has_adopted_and_ends_only_that() -> None:
    program = """
import os, subprocess, time
from headrace.queue.process_tree import Strays, adopting_orphans, descendants, reap_adopted

kept = subprocess.Popen(["sleep", "60"])
strays = Strays()
orphan = 'sh -c "$0" &'
with adopting_orphans():
    subprocess.run(["sh", "-c", orphan, "exec sleep 0.2"], check=True)
    while not any(one.zombie for one in descendants(os.getpid())):
        time.sleep(0.01)
    reap_adopted()
    assert [one.pid for one in descendants(os.getpid())] == [kept.pid]
    subprocess.run(["sh", "-c", orphan, "exec sleep 60"], check=True)
    assert len(descendants(os.getpid())) == 2
    while strays.end():
        pass
    assert [one.pid for one in descendants(os.getpid())] == [kept.pid]
kept.kill()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
