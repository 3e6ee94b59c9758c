"""SIGKILL around the making of a step's items: they are made once, whatever dies when."""

import pytest

from tests.support.cluster import Cluster, effect_job

PIPELINE = f"""
name: fan
steps:
  - {{id: list, job: RunSql, with: {{sql: "select n::text from generate_series(1, 5) n"}}}}
  - id: each
    job: {effect_job("EffectJob")}
    depends_on: [list]
    foreach: {{items: "{{{{ steps.list.result.rows }}}}", max_concurrent: 3}}
    with: {{tag: "{{{{ item.n }}}}"}}
  - id: total
    job: {effect_job("EffectJob")}
    depends_on: [each]
    with: {{tag: "{{{{ steps.each.result | map(attribute='tag') | join(',') }}}}"}}
"""

STEPS = ["list", "each", *(f"each[{n}]" for n in range(5)), "total"]


# Which attempt makes the items, and what stands on record of the one before.
POINTS = {
    "expanding": (2, ["crashed"]),
    "expanded": (2, ["crashed"]),
    "after-expansion": (1, []),
}


@pytest.mark.parametrize("parent", [False, True], ids=["child", "worker"])
@pytest.mark.parametrize("point", POINTS)
def test_items_are_made_once_wherever_their_maker_is_killed(
    cluster: Cluster, point: str, parent: bool
) -> None:
    attempt, record = POINTS[point]
    (cluster.folder / "pipelines" / "fan.yaml").write_text(PIPELINE)
    cluster.daemon()
    cluster.worker(env=cluster.crash_at(point, parent=parent))
    run = str(cluster.headrace.start_run("fan", {})["id"])
    cluster.wait_for_crash()
    if parent:
        cluster.worker()

    cluster.wait_all_final()

    rows = cluster.sql("SELECT * FROM headrace.job WHERE run_id = %s ORDER BY id", run)
    assert [row["step"] for row in rows] == STEPS
    assert {row["status"] for row in rows} == {"completed"}
    each, total = rows[1], rows[-1]
    assert each["attempt"] == attempt
    assert [one["outcome"] for one in cluster.attempts(each["id"])] == record
    assert total["result"] == {"tag": "1,2,3,4,5"}
    assert [cluster.effects(row["id"]) for row in rows[2:]] == [1] * 6


def test_a_paused_maker_that_wakes_makes_no_item_again(cluster: Cluster) -> None:
    (cluster.folder / "pipelines" / "fan.yaml").write_text(PIPELINE)
    cluster.daemon()
    paused = cluster.worker(env=cluster.crash_at("expanded", parent=True, stop=True))
    run = str(cluster.headrace.start_run("fan", {})["id"])
    cluster.wait_for_crash()
    cluster.worker()
    cluster.wait_all_final(limit_s=40)

    paused.resume()

    rows = cluster.sql("SELECT * FROM headrace.job WHERE run_id = %s ORDER BY id", run)
    assert [row["step"] for row in rows] == STEPS
    assert rows[1]["attempt"] == 2
    cluster.dispatch("NoopJob")
    cluster.wait_all_final()
