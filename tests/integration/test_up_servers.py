"""The embedded servers die while `headrace up` runs: it starts them again, and work goes on."""

import os
import signal
from pathlib import Path

import pytest

from headrace.store.embedded import find
from headrace.store.embedded.place import place_of
from tests.support.cli import Headrace
from tests.support.processes import wait_until

EACH_SECOND = (
    "name: often\nschedule: {interval: 1s}\nsteps: [{id: a, job: Fibonacci, with: {n: 1}}]\n"
)


@pytest.fixture
def headrace(tmp_path: Path, own_home: Path) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "often.yaml").write_text(EACH_SECOND)
    return Headrace(tmp_path, {"HEADRACE_HOME": str(own_home), "HEADRACE_PORT": "0"})


def _pid(home: Path, server: str) -> int:
    place = place_of(home)
    files = {"postgres": place.data / "postmaster.pid", "valkey": place.sockets / "valkey.pid"}
    return int(files[server].read_text().split()[0])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_killed_server_is_started_again_and_work_goes_on(
    server: str, headrace: Headrace, own_home: Path
) -> None:
    with headrace.started("up", "--no-web", "--workers", "1") as up:
        up.wait_for("leading, term")
        wait_until(lambda: headrace("runs", "--json").json["items"], limit_s=60, what="a run")
        killed = _pid(own_home, server)

        os.kill(killed, signal.SIGKILL)

        up.wait_for("an embedded server has exited; restarting it")
        up.wait_for("the embedded servers are running again")
        wait_until(lambda: find(own_home) is not None, limit_s=30)
        assert _pid(own_home, server) != killed
        before = int(headrace("runs", "--json", "--limit", "1").json["items"][0]["id"][:8], 16)

        def later() -> bool:
            done = headrace("runs", "--json", "--status", "completed", "--limit", "1").json
            return any(int(row["id"][:8], 16) >= before for row in done["items"])

        wait_until(later, limit_s=60, what="a run after that")
        assert "Traceback" not in up.output()
        assert up.output().count("daemon   continuing after redis") <= 1
        up.stop()
