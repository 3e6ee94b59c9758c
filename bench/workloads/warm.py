"""Bringing workers up before a clock starts."""

import os
import time
from pathlib import Path

from bench.contender import Contender
from bench.marks import VARIABLE, Marks

START_LIMIT_S = 60.0
# Enough that no worker can hold them all: some take messages ahead.
WARM_JOBS = 100


def prepare(contender: Contender, count: int) -> Marks:
    """Make the marks of a run of `count` jobs, and the system's tables."""
    path = contender.place.scratch / "marks"
    marks = Marks.create(path, count)
    os.environ[VARIABLE] = str(path)
    contender.install()
    return marks


def start_at_gate(contender: Contender, marks: Marks, processes: int) -> None:
    """Start the workers and wait until each holds its first job at the gate."""
    contender.start_workers(processes)
    give_up = time.monotonic() + START_LIMIT_S
    while marks.arrived() < processes:
        if time.monotonic() > give_up or contender.worker_deaths():
            raise TimeoutError(
                f"{marks.arrived()} of {processes} workers came up in {START_LIMIT_S:g} s"
            )
        time.sleep(0.01)


def warm_up(contender: Contender, marks: Marks, processes: int, jobs: int) -> None:
    """Bring workers up by their first `jobs` jobs (numbers from 0 on), then let them idle."""
    contender.enqueue_many(range(jobs))
    start_at_gate(contender, marks, processes)
    marks.open()
    marks.wait(0, jobs, START_LIMIT_S)
    if contender.durable:
        wait_finished(contender, jobs, START_LIMIT_S)
    time.sleep(0.5)


def wait_finished(contender: Contender, jobs: int, limit_s: float) -> float:
    """Wait until the final statuses of `jobs` jobs are stored; returns the time."""
    give_up = time.monotonic() + limit_s
    while contender.finished() < jobs:
        if time.monotonic() > give_up:
            raise TimeoutError(f"{contender.finished()} of {jobs} statuses were final")
        time.sleep(0.005)
    return time.monotonic()


def scratch(contender: Contender, name: str) -> Path:
    """Return a new folder of the run."""
    folder = contender.place.scratch / name
    folder.mkdir(exist_ok=True)
    return folder
