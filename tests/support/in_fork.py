"""Runs a function in a child of the test's process, where it may change whatever it likes."""

import os
import traceback
from collections.abc import Callable


def in_fork(function: Callable[[], object]) -> None:
    """Run it there; an exception fails the test here, with its traceback."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException:  # noqa: BLE001 - a child must never run pytest's own clean-up
            os.write(writer, traceback.format_exc()[-4000:].encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        failure = told.read().decode()
    os.waitpid(pid, 0)
    assert not failure, failure
