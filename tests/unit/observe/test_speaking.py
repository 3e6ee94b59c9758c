"""The standard streams of a worker's child: whose lines they are, and what comes without a job."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import pytest

from headrace.observe.joblog import JobLog
from headrace.observe.output import Output, Spoken, last_words
from tests.support.in_fork import in_fork


@pytest.fixture
def log() -> JobLog:
    made = JobLog()
    made.begin(UUID(int=1), 1)
    return made


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    for end in (reader, writer):
        with suppress(OSError):
            os.close(end)


def said(log: JobLog) -> list[str]:
    left = log.unkept
    return [entry["message"] for entry in left.entries] if left is not None else []


def test_a_stream_takes_text_and_nothing_else(log: JobLog, pipe: tuple[int, int]) -> None:
    stream = Spoken(log, pipe[1], logging.INFO)

    assert stream.write("one\ntwo") == 7
    with pytest.raises(TypeError, match=r"^write\(\) argument must be str, not bytes$"):
        stream.write(b"three\n")  # type: ignore[arg-type]
    stream.end_line()

    assert said(log) == ["one", "two"]
    assert stream.writable()
    assert stream.fileno() == pipe[1]
    stream.close()
    assert stream.write("four\n") == 5
    assert said(log) == ["one", "two", "four"]


def test_a_line_that_has_not_ended_is_nothing_as_yet(log: JobLog, pipe: tuple[int, int]) -> None:
    stream, output = Spoken(log, pipe[1], logging.INFO), Output(log, pipe)
    stream.write("one")
    os.write(pipe[1], b"two")
    assert output._drain()
    assert not log.said

    stream.end_line()
    output.drain()

    assert said(log) == ["one", "two"]
    os.close(output._aside)


def test_a_process_that_a_job_has_forked_writes_to_its_parent_s_output(
    log: JobLog, pipe: tuple[int, int]
) -> None:
    stream = Spoken(log, pipe[1], logging.INFO)

    def write() -> None:
        assert stream.write("ä\ud800 in full") == 10

    in_fork(write)

    assert os.read(pipe[0], 100) == "ä? in full".encode()
    stream.end_line()
    assert said(log) == []


def test_the_pipe_s_end_ends_the_reading(log: JobLog, pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = Output(log, pipe)
    os.write(writer, b"last\n")
    assert output._drain()
    assert said(log) == ["last"]

    os.close(writer)
    assert not output._drain()
    output._read()  # It comes back.
    os.close(reader)
    assert not output._drain()
    os.close(output._aside)


def test_what_a_child_has_left_in_its_pipe_is_read_after_its_end(pipe: tuple[int, int]) -> None:
    found: list[bytes] = []
    os.write(pipe[1], b"one\ntwo\nwithout an end")

    last_words(pipe[0], found.extend)

    assert found == [b"one", b"two", b"without an end"]
    os.write(pipe[1], b"more\n")
    os.close(pipe[1])
    last_words(pipe[0], found.extend)
    assert found[3:] == [b"more"]


def test_what_is_written_while_no_job_is_at_hand_is_the_worker_s_own(
    pipe: tuple[int, int], capfd: pytest.CaptureFixture[str]
) -> None:
    log = JobLog()
    output = Output(log, pipe)
    os.write(pipe[1], b"one\ntwo \xff\nwithout an end")
    assert output._drain()
    assert capfd.readouterr().err.splitlines() == ["one", "two \ufffd"]

    output.drain()

    assert capfd.readouterr().err == "without an end\n"
    assert log.unkept is None
    os.close(output._aside)
