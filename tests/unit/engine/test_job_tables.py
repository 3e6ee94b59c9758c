"""What a job does to tables beside its SQL, its class says."""

from typing import Any

import pytest

from headrace.declarations.lint.tables_of_sql import SqlUse
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.job_type import JobType
from headrace.jobs.base import BaseJob
from headrace.jobs.mirror_table import MirrorTable


def use(reads: str = "", writes: str = "", makes: str = "") -> SqlUse:
    of = [frozenset(names.split()) for names in (reads, writes, makes)]
    return SqlUse(of[0], of[1], makes=of[2])


@pytest.mark.parametrize(
    ("job", "with_", "said"),
    [
        ("LoadFile", {"path": "x", "table": "S.T"}, use("", "s.t", "s.t")),
        ("ArchiveRows", {"table": "a", "into": "b"}, use("", "a b", "b")),
        ("DataAggregation", {"table": "a", "group_by": "b"}, use("a")),
        ("DataAggregation", {"table": "a", "group_by": "b", "into": "c"}, use("a", "c", "c")),
        ("HttpExtract", {"url": "http://x", "into": "a"}, use("", "a", "a")),
        ("TruncateTable", {"table": "{{ params.table }}"}, use()),
        ("Fibonacci", {"n": 3}, use()),
        ("NoSuchJob", {}, use()),
    ],
)
def test_a_built_in_job_says_which_tables_it_touches(job: str, with_: dict[str, Any], said: SqlUse):
    assert Registry().tables(job, with_, None) == said


@pytest.mark.parametrize(
    ("with_", "connection", "said"),
    [
        ({}, None, use("a", "b", "b")),
        ({}, "dwh", use()),
        ({"connection": "dwh"}, None, use()),
        ({"connection": "dwh"}, "dwh", use("a", "b", "b")),
        ({"source_connection": "erp"}, None, use("", "b", "b")),
        ({"source_connection": "erp"}, "erp", use("a")),
        ({"target_connection": "dwh"}, None, use("a")),
        ({"target_connection": "dwh"}, "dwh", use("", "b", "b")),
    ],
)
def test_a_table_lies_where_its_connection_leads(
    with_: dict[str, Any], connection: str | None, said: SqlUse
):
    with_ = {"source_table": "a", "target_table": "b", **with_}

    assert JobType("MirrorTable", MirrorTable).tables(with_, connection) == said


def test_a_class_that_builds_on_another_says_what_it_changes():
    class Fixed(MirrorTable):
        source_table = "erp.orders"
        source_connection = "erp"
        tables_written = (*MirrorTable.tables_written, "mart.log")  # type: ignore[assignment]

    kind = JobType("Fixed", Fixed)

    assert kind.tables({"target_table": "b"}, None) == use("", "b mart.log", "b")
    assert kind.tables({"target_table": "b"}, "erp") == use("erp.orders")


def test_a_single_name_need_not_be_a_tuple():
    class Refresh(BaseJob):
        tables_made = "mart.totals"  # type: ignore[assignment]

    assert JobType("Refresh", Refresh).tables({}, None) == use(makes="mart.totals")
