"""A daemon whose clock is wrong, and one that comes up to a broken file."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.processes import wait_until

PIPELINE = """
name: tick
schedule: {interval: 1s, catchup: all}
steps:
  - {id: only, job: tests.support.jobs_effects.EffectJob, with: {tag: only}}
"""
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def declare(cluster: Cluster, text: str = PIPELINE) -> None:
    (cluster.folder / "pipelines" / "tick.yaml").write_text(text)


def dates(cluster: Cluster) -> list[datetime]:
    rows = cluster.sql("SELECT logical_date FROM headrace.run ORDER BY logical_date")
    return [row["logical_date"] for row in rows]


def said(cluster: Cluster) -> str:
    return "".join(log.read_text() for log in sorted(cluster.folder.glob("daemon-*.log")))


@pytest.mark.skipif(not FAKETIME.exists(), reason="needs Debian's faketime")
@pytest.mark.parametrize(("off", "word"), [("+3h", "ahead of"), ("-1h", "behind")])
def test_a_daemon_whose_clock_is_wrong_starts_runs_by_postgresqls(
    cluster: Cluster, off: str, word: str
) -> None:
    declare(cluster)
    cluster.worker()
    began = datetime.now(UTC)
    cluster.daemon(
        env={"LD_PRELOAD": str(FAKETIME), "FAKETIME": off, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    )

    wait_until(lambda: len(dates(cluster)) >= 3, limit_s=30)

    found = dates(cluster)
    assert began.replace(microsecond=0) <= found[0]
    assert found[-1] <= datetime.now(UTC)
    assert f"s {word} PostgreSQL's" in said(cluster)
    (row,) = cluster.sql("SELECT skipped, seen_until FROM headrace.schedule")
    assert row["skipped"] == 0
    assert row["seen_until"] <= datetime.now(UTC)
    cluster.withdraw("tick")


@pytest.mark.parametrize("file", ["tick.yaml", "_defaults.yaml"])
def test_a_broken_edit_and_a_restart_leave_the_last_good_version_in_force(
    cluster: Cluster, file: str
) -> None:
    folder = cluster.folder / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / "_defaults.yaml").write_text("timeout: 5m\n")
    declare(cluster)
    cluster.worker()
    first = cluster.daemon()
    wait_until(lambda: len(dates(cluster)) >= 1)
    wait_until(lambda: cluster.sql("SELECT 1 FROM headrace.pipeline WHERE built IS NOT NULL"))
    (folder / file).write_text("name: tick\nsteps: [}\n")
    first.kill()
    before = len(dates(cluster))

    cluster.daemon()

    wait_until(lambda: len(dates(cluster)) >= before + 2, limit_s=30)
    assert "the last valid version stays active" in said(cluster)
    assert cluster.sql("SELECT name FROM headrace.pipeline") == [{"name": "tick"}]
    cluster.withdraw("tick")
