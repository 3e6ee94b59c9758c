"""A named pipe among the pipelines, a disk that hangs: everything else goes on."""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from tests.support.cluster import Cluster
from tests.support.processes import wait_until
from tests.support.web import client_of

PLAIN = "name: plain\nschedule: {interval: 1s}\nsteps: [{id: only, job: Fibonacci, with: {n: 1}}]\n"


def test_a_named_pipe_among_the_pipelines_stops_nobody(cluster: Cluster) -> None:
    folder = cluster.folder / "pipelines"
    (folder / "plain.yaml").write_text(PLAIN)
    os.mkfifo(folder / "pipe.yaml")
    (folder / "lower").mkdir()
    os.mkfifo(folder / "lower" / "_defaults.yaml")
    daemon = cluster.daemon()
    cluster.worker()

    told = "pipe.yaml: is a named pipe"
    wait_until(lambda: told in daemon.text(), what="the problem")
    wait_until(
        lambda: cluster.sql("SELECT 1 FROM headrace.run WHERE status = 'completed'"), limit_s=20
    )
    checked = subprocess.run(
        [sys.executable, "-m", "headrace", "validate"],
        env=dict(cluster.environ), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert checked.returncode == 1
    assert told in checked.stdout + checked.stderr
    with client_of(cluster.headrace) as client:
        assert client.post("/pipelines/plain/runs", json={}).status_code == 201
    # While a file cannot be read, the pipeline of one that is missing might stand in it.
    (folder / "pipe.yaml").unlink()
    (folder / "lower" / "_defaults.yaml").unlink()
    cluster.withdraw("plain")


@pytest.mark.timeout(120)
def test_a_disk_that_hangs_leaves_in_force_what_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plain.yaml").write_text(PLAIN)
    pipelines = Pipelines(
        Settings(project=tmp_path, home=tmp_path / "home", pipelines=tmp_path), Registry()
    )
    assert pipelines.refresh()
    answers = threading.Event()
    walk = os.walk

    def hanging(folder: Path, **options: Any) -> Any:
        answers.wait(15)
        return walk(folder, **options)

    monkeypatch.setattr(os, "walk", hanging)

    assert not pipelines.refresh(patience_s=0.1)
    assert not pipelines.refresh(patience_s=0.1)
    assert list(pipelines.by_name) == ["plain"]
    assert caplog.text.count("takes long") == 1
    (tmp_path / "plain.yaml").unlink()
    answers.set()

    # What the look found in the end is told to whoever asks next.
    assert wait_until(lambda: pipelines.refresh(patience_s=0.1) and not pipelines.by_name)
