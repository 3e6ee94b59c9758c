"""Descent: who is killed, who is spared, who is reaped."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from runner.descent import Process, descendants, kill, read_process

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")


@pytest.fixture
def sleeper() -> Iterator[Process]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as popen:
        found = read_process(popen.pid)
        assert found is not None
        yield found
        popen.kill()


def test_a_number_that_is_another_process_s_by_now_is_not_killed(sleeper: Process) -> None:
    assert not kill(replace(sleeper, birth=sleeper.birth - 1))
    assert read_process(sleeper.pid) == sleeper


def test_what_is_spared_is_not_found(sleeper: Process) -> None:
    assert sleeper in descendants(os.getpid())
    assert sleeper not in descendants(os.getpid(), {sleeper.pid})


def test_a_process_reaps_what_it_has_adopted_and_ends_only_that() -> None:
    program = """
import os, subprocess, time
from runner.descent import Strays, adopting_orphans, descendants, reap_adopted

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
