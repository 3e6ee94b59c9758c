"""Which jobs and runs a page of a listing has: the statements alone, among rows of every kind."""

from collections.abc import Iterator
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from headrace.store.listings import list_jobs, list_runs
from tests.support.rows import Rows

JOB_STATUSES = (
    "waiting", "queued", "started", "retrying", "completed", "failed", "cancelled", "skipped",
)  # fmt: skip
RUN_STATUSES = ("queued", "running", "completed", "failed", "cancelled", "skipped")
QUEUES, CLASSES, PIPELINES = ("high", "low"), ("A", "B"), ("p", "q", None)


def mixed(number: int, count: int) -> UUID:
    """Return ids that do not ascend as rows are inserted, each another one."""
    return UUID(int=1 + number * 7919 % count)


@pytest.fixture
def jobs(rows: Rows) -> list[dict[str, Any]]:
    """Two jobs of each kind, newest first."""
    kinds: list[tuple[str | None, ...]] = [*product(JOB_STATUSES, QUEUES, CLASSES, PIPELINES)] * 2
    # Kinds that are queued, and in one pipeline, and nowhere else.
    kinds += [("queued", "high", "C", "p"), ("queued", "mid", "C", "p")] * 2
    made = [
        {"id": mixed(number, 197), "status": kind[0], "queue": kind[1], "job_class": kind[2],
         "pipeline": kind[3]}
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    rows.sql(
        "INSERT INTO headrace.job (id, status, queue, job_class, pipeline, timeout_s, retry)"
        " SELECT *, 1, '{}' FROM unnest(%(ids)s::uuid[], %(status)s, %(queue)s, %(job_class)s,"
        " %(pipeline)s::text[])",
        ids=[str(one["id"]) for one in made],
        **{name: [one[name] for one in made] for name in made[0] if name != "id"},
    )
    return sorted(made, key=lambda one: one["id"], reverse=True)


@pytest.fixture
def runs(rows: Rows) -> list[dict[str, Any]]:
    """Two runs of each kind, newest first."""
    kinds = list(product(RUN_STATUSES, ("p", "q"))) * 2
    made = [
        {"id": mixed(number, 31), "status": kind[0], "pipeline": kind[1]}
        for number, kind in enumerate(kinds)
    ]
    rows.sql(
        "INSERT INTO headrace.run (id, status, pipeline, version, trigger, logical_date, plan)"
        " SELECT *, '1', 'manual', now(), '{}' FROM unnest(%(ids)s::uuid[], %(status)s,"
        " %(pipeline)s)",
        ids=[str(one["id"]) for one in made],
        **{name: [one[name] for one in made] for name in ("status", "pipeline")},
    )
    return sorted(made, key=lambda one: one["id"], reverse=True)


def filters(**values: tuple[str | None, ...]) -> Iterator[dict[str, str]]:
    """Yield each combination of the values; None asks for nothing."""
    for chosen in product(*values.values()):
        wanted = dict(zip(values, chosen, strict=True))
        yield {name: value for name, value in wanted.items() if value is not None}


def test_each_page_of_jobs_has_the_newest_that_match(
    rows: Rows, jobs: list[dict[str, Any]]
) -> None:
    # One that has ended, and one that waits.
    ends = (None, *(next(one["id"] for one in jobs[90:] if one["status"] == status)
                    for status in ("failed", "waiting")))  # fmt: skip
    asked = filters(
        status=(None, *JOB_STATUSES), queue=(None, *QUEUES), job_class=(None, *CLASSES),
        pipeline=(None, "p"),
    )  # fmt: skip
    with rows.database.transaction() as tx:
        for wanted, before, limit in product(asked, ends, (3, 200)):
            match = [
                one["id"]
                for one in jobs
                if wanted.items() <= one.items() and (before is None or one["id"] < before)
            ]
            found = list_jobs(tx, before=before, limit=limit, **wanted)
            assert [row["id"] for row in found] == match[:limit], (wanted, before, limit)
        assert list_jobs(tx, limit=9, job_class="no") == []


def test_each_page_of_runs_has_the_newest_that_match(
    rows: Rows, runs: list[dict[str, Any]]
) -> None:
    middle = runs[len(runs) // 2]["id"]
    asked = filters(status=(None, *RUN_STATUSES), pipeline=(None, "p", "no"))
    with rows.database.transaction() as tx:
        for setting in ("indexscan", "bitmapscan", "indexonlyscan"):
            tx.connection.exec_driver_sql(f"SET LOCAL enable_{setting} = off")
        for wanted, before, limit in product(asked, (None, middle), (1, 200)):
            match = [
                one["id"]
                for one in runs
                if wanted.items() <= one.items() and (before is None or one["id"] < before)
            ]
            found = list_runs(tx, before=before, limit=limit, **wanted)
            assert [row["id"] for row in found] == match[:limit], (wanted, before, limit)
