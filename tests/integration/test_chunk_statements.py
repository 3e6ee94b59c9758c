"""Where chunks begin and end, and how groups are calculated, by several columns at once."""

from typing import Any

import pytest

from headrace.jobs.sql.packaged import execute as send
from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql, render
from tests.support.statements import Told

# Some have the one value of (3, 2) and a greater or smaller other one; as texts 10 is before 2.
ROWS = """
CREATE TABLE t (a int, b int);
INSERT INTO t VALUES (10, 1), (3, 2), (3, 10), (2, 10), (2, 2), (4, 1), (NULL, 9), (9, NULL)
"""
WHOLE = [(2, 2), (2, 10), (3, 2), (3, 10), (4, 1), (10, 1)]
NULLS = [(9, None), (None, 9)]


@pytest.mark.parametrize(
    ("above", "null", "met"),
    [
        (True, False, [*WHOLE[3:5], NULLS[0], WHOLE[5]]),
        (True, True, [*WHOLE[3:5], NULLS[0], WHOLE[5], NULLS[1]]),
        (False, False, WHOLE[:3]), (False, True, [*WHOLE[:3], *NULLS]),
    ],
)  # fmt: skip
def test_a_chunk_has_the_rows_behind_one_bound_and_up_to_the_next(
    target: Any, execute: Any, above: bool, null: bool, met: list[Any]
) -> None:
    execute(ROWS)
    integer = RenderedSql("int", {})
    by = [{"value": RenderedSql(name, {}), "bound": bound, "type": integer}
          for name, bound in (("a", "3"), ("b", "2"))]  # fmt: skip
    bound = packaged_sql("chunk_bound", by=by, above=above, null=null)
    asked = render("SELECT a, b FROM t WHERE {{ bound }} ORDER BY 1, 2", {"bound": bound}, name="t")
    with target.connect() as connection:
        assert [tuple(row) for row in send(connection, asked)] == met


@pytest.mark.parametrize(
    ("size", "end"),
    [(1, ("2", "2")), (3, ("3", "2")), (5, ("4", "1")), (6, ("10", "1")), (7, None), (8, None)],
)
def test_a_chunk_ends_at_the_last_of_so_many_whole_rows(
    told: Told, execute: Any, size: int, end: tuple[str, str] | None
) -> None:
    execute(ROWS)
    given = {"query": RenderedSql("SELECT a, b, 1 AS c FROM t", {}), "size": size}
    by = [{"name": "a"}, {"name": "b"}]
    assert told("chunk_end", by=by, **given) == ([] if end is None else [end])


def test_how_far_a_load_has_come_is_told_of_its_own_target_and_source(
    told: Told, execute: Any
) -> None:
    execute("CREATE SCHEMA headrace; CREATE TABLE headrace.watermark (target_table text,"
            " source text, value text); INSERT INTO headrace.watermark VALUES"
            " ('t', 'other', '1'), ('other', 's', '2'), ('t', 's', '3')")  # fmt: skip
    assert told("chunk_reached", target="t", source="s") == [("3",)]
    assert told("chunk_reached", target="other", source="other") == []


AGGREGATES = [
    {"function": function, "column": column, "distinct": distinct, "alias": f"n{number}"}
    for number, (function, column, distinct) in enumerate(
        (("sum", "n", False), ("avg", "n", False), ("min", "n", False), ("max", "n", False),
         ("count", "n", False), ("count", "n", True), ("count", None, False)))
]  # fmt: skip


def test_groups_are_of_all_columns_and_only_those_that_have_changed(
    told: Told, execute: Any
) -> None:
    execute(
        "CREATE TABLE t (a int, b int, n int); CREATE TABLE changed_ (a int, b int);"
        "INSERT INTO t VALUES (1, 1, 5), (1, 1, 5), (1, 1, 8), (1, 1, NULL), (1, 2, 7), (2, 1, 9),"
        " (2, 2, 3); INSERT INTO changed_ VALUES (1, 1), (2, 2), (3, 2)"
    )
    columns = [RenderedSql(name, {}) for name in "ab"]
    aggregates = [one | {"column": one["column"] and RenderedSql(str(one["column"]), {})}
                  for one in AGGREGATES]  # fmt: skip
    given = {"table": "t", "group_by": columns, "aggregates": aggregates, "groups": None,
             "sort_by": None, "sort_order": "asc"}  # fmt: skip
    rows = [
        (1, 1, 18, 6, 5, 8, 3, 2, 4), (1, 2, 7, 7, 7, 7, 1, 1, 1), (2, 1, 9, 9, 9, 9, 1, 1, 1),
        (2, 2, 3, 3, 3, 3, 1, 1, 1),
    ]  # fmt: skip
    assert sorted(told("data_aggregation", **given)) == rows
    groups = RenderedSql("changed_", {})
    assert sorted(told("data_aggregation", **given | {"groups": groups})) == [rows[0], rows[3]]
    for order, sums in (("asc", [3, 7, 9, 18]), ("desc", [18, 9, 7, 3])):
        sort = {"sort_by": RenderedSql("n0", {}), "sort_order": order}
        assert [row[2] for row in told("data_aggregation", **given | sort)] == sums
