"""What is left of a job's program where something fails that nobody foresaw."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.jobs.programs import child_program
from tests.support.in_fork import in_fork
from tests.support.processes import wait_until


@pytest.mark.skipif(sys.platform != "linux", reason="adopts orphans, which Linux lets it")
def test_an_error_ends_also_what_the_program_has_detached(tmp_path: Path) -> None:
    number = tmp_path / "number"
    note = f"echo $$ > {number}.new; mv {number}.new {number}; exec sleep 600"
    command = ["/bin/sh", "-c", f"(setsid sh -c '{note}' &); sleep 600"]

    def fail(program: subprocess.Popen[bytes]) -> None:
        assert program.poll() is None
        wait_until(number.exists, what="the detached program")
        raise RuntimeError("oh")

    def look() -> None:
        child_program._wait = fail
        try:
            with pytest.raises(RuntimeError, match=r"^oh$"):
                child_program.run_program(
                    command, cwd=tmp_path, environ=dict(os.environ), each_lines=lambda _lines: None
                )
            assert not Path("/proc", number.read_text().strip()).exists()
        finally:
            with suppress(OSError, ValueError):
                os.kill(int(number.read_text()), 9)

    in_fork(look)
