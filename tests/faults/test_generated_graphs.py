"""Generated pipelines beside each other on real workers: each step ends as the reference says."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on
from tests.support.generated import budget
from tests.support.generated_pipelines import Step, lay_out, pipelines, tries
from tests.support.pipeline_model import Job, expected

_NUMBERS = count()


@pytest.fixture
def working(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    """A daemon and a worker with two processes."""
    lay_out(tmp_path, {})
    config = {"pools": {"narrow": 1}}
    with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
        cluster.daemon()
        cluster.worker(2)
        yield cluster
        cluster.check()


@pytest.mark.slow
@pytest.mark.timeout(600)
@budget(1)
@given(st.lists(pipelines(), min_size=4, max_size=4))
def test_generated_pipelines_end_as_their_rules_say_on_workers_that_share_them(
    working: Cluster, made: list[list[Step]]
) -> None:
    named = {f"p{next(_NUMBERS)}": steps for steps in made}
    lay_out(working.folder, named)

    runs = {name: working.headrace.start_run(name, {})["id"] for name in named}
    working.wait_all_final(limit_s=60)

    for name, steps in named.items():
        model = expected(steps)
        assert ends(working, str(runs[name])) == model.ends(), name
        assert tries(working.folder, name, model.tries()) == model.tries(), name
        (run,) = working.sql("SELECT status FROM headrace.run WHERE id = %s", str(runs[name]))
        assert run["status"] == model.status, name
    working.check()


def ends(cluster: Cluster, run: str) -> dict[str, Job]:
    rows = cluster.sql("SELECT step, status, skip_reason FROM headrace.job WHERE run_id = %s", run)
    return {row["step"]: Job(row["status"], row["skip_reason"]) for row in rows}
