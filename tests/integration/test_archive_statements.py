"""What the archive's statements read of the catalogue: other tables have all that ours has."""

from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.jobs.sql.packaged import packaged_sql
from headrace.template import RenderedSql
from tests.support.statements import Told, sent


def test_columns_are_set_beside_those_of_the_archive_alone(told: Told, execute: Any) -> None:
    execute(
        'CREATE TABLE t (id int, gone int, "Odd" numeric(8, 2), note text, at date);'
        "ALTER TABLE t DROP COLUMN gone;"
        "CREATE TABLE old (at date, note varchar(5), dropped text, twice int, id bigint,"
        ' "Odd" numeric GENERATED ALWAYS AS (1) STORED); ALTER TABLE old DROP COLUMN dropped;'
        'CREATE TABLE other (id text, "Odd" text, note int, at int, more int);'
        "ALTER TABLE t ADD COLUMN tableoid_of int, ADD COLUMN twice int"
    )
    assert told("archive_columns", table="t", into="old") == [
        ("id", "id", "integer", False, False, "bigint"),
        ("Odd", '"Odd"', "numeric(8,2)", False, True, "numeric"),
        ("note", "note", "text", False, False, "character varying(5)"),
        ("at", "at", "date", False, False, "date"),
        ("tableoid_of", "tableoid_of", "integer", True, False, None),
        ("twice", "twice", "integer", False, False, "integer"),
    ]
    # A column that was dropped is in the catalogue, under a name of its own.
    execute('ALTER TABLE t ADD COLUMN "........pg.dropped.3........" int')
    assert told("archive_columns", table="t", into="old")[-1][3] is True


def test_a_dates_table_is_told_with_its_own_heirs_alone(told: Told, execute: Any) -> None:
    execute(
        "CREATE DOMAIN day AS date; CREATE DOMAIN days AS day;"
        "CREATE TABLE t (id int, at timestamptz, d day, gone date);"
        "CREATE TABLE other (at text, n int);"
        "ALTER TABLE t DROP COLUMN gone; CREATE TABLE heir_b () INHERITS (t);"
        "CREATE TABLE heir_a () INHERITS (t); CREATE TABLE heir_of_heir () INHERITS (heir_a);"
        "CREATE TABLE heir_of_other () INHERITS (other)"
    )
    given = {"table": "t", "into": "old"}
    heirs = "heir_b, heir_a"
    assert told("archive_facts", column="at", **given) == [
        ("D", "timestamp with time zone", heirs, False)
    ]
    assert told("archive_facts", column="d", **given) == [("D", "day", heirs, False)]
    assert told("archive_facts", column="id", **given) == [("N", "integer", heirs, False)]
    for absent in ("n", "ctid", "gone", "........pg.dropped.4........"):
        assert told("archive_facts", column=absent, **given) == [(None, None, heirs, False)]
    assert told("archive_facts", column="at", table="other", into="t")[0][1:] == (
        "text", "heir_of_other", False)  # fmt: skip
    assert told("archive_facts", column="at", table="absent", into="t") == []


def test_an_archive_is_the_same_only_if_it_is_part_of_the_table(told: Told, execute: Any) -> None:
    execute(
        "CREATE TABLE t (at date) PARTITION BY RANGE (at);"
        "CREATE TABLE t_1 PARTITION OF t DEFAULT PARTITION BY RANGE (at);"
        "CREATE TABLE t_2 PARTITION OF t_1 DEFAULT;"
        "CREATE TABLE other (at date) PARTITION BY RANGE (at);"
        "CREATE TABLE other_1 PARTITION OF other DEFAULT"
    )
    for table, into, same in (
        ("t", "t", True), ("t", "t_1", True), ("t", "t_2", True), ("t_2", "t", True),
        ("t_1", "t", True), ("t", "other", False), ("t", "other_1", False), ("t_1", "other", False),
        ("other_1", "other", True), ("t_2", "other_1", False), ("t", "absent", False),
    ):  # fmt: skip
        assert told("archive_facts", column="at", table=table, into=into) == [
            ("D", "date", None, same)
        ], (table, into)


def test_a_childs_column_refers_by_its_own_key_else_to_the_primary_key(
    told: Told, execute: Any
) -> None:
    execute(
        "CREATE TABLE t (id int PRIMARY KEY, no int UNIQUE, code int, mark int,"
        " UNIQUE (code, mark));"
        "CREATE TABLE other (key int PRIMARY KEY, o int UNIQUE);"
        "CREATE TABLE child (a int REFERENCES other, b int REFERENCES t (no), c int, d int,"
        " e int CHECK (e > 0), f int REFERENCES other (o),"
        " FOREIGN KEY (c, d) REFERENCES t (code, mark));"
        "CREATE TABLE neighbour (a int REFERENCES t (no), b int, c int REFERENCES t (no));"
        "CREATE TABLE pair (x int, y int, PRIMARY KEY (x, y)); CREATE TABLE bare (id int UNIQUE)"
    )
    said = {
        column: told("archive_referred", child="child", table="t", column=column)
        for column in "abcdef"
    }
    assert said == {key: [("id",)] for key in "acdef"} | {"b": [("no",)]}
    assert told("archive_referred", child="child", table="pair", column="a") == []
    assert told("archive_referred", child="child", table="bare", column="a") == []
    assert told("archive_referred", child="child", table="other", column="f") == [("o",)]


def test_a_child_of_a_partition_refers_to_the_table(told: Told, execute: Any) -> None:
    execute(
        "CREATE TABLE t (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
        "CREATE TABLE t_1 PARTITION OF t DEFAULT; CREATE UNIQUE INDEX own ON t_1 (id);"
        "CREATE TABLE child (t int REFERENCES t_1 (id), n int)"
    )
    assert told("archive_referred", child="child", table="t", column="t") == [("id",)]
    assert told("archive_referred", child="child", table="t", column="n") == []


def test_only_keys_that_would_change_rows_of_others_are_told(told: Told, execute: Any) -> None:
    execute(
        'CREATE SCHEMA s; CREATE TABLE t (id int PRIMARY KEY, "No" int, at date, UNIQUE ("No", id),'
        " up int REFERENCES t ON DELETE CASCADE);"
        "CREATE TABLE other (id int PRIMARY KEY, up int REFERENCES other ON DELETE CASCADE);"
        "CREATE TABLE s.c (id int REFERENCES t ON DELETE SET DEFAULT, x int, y int,"
        ' FOREIGN KEY (x, y) REFERENCES t ("No", id) ON DELETE SET NULL);'
        "CREATE TABLE b (id int REFERENCES t ON DELETE CASCADE, o int REFERENCES other ON DELETE"
        " CASCADE, CHECK (id > 0), PRIMARY KEY (id));"
        "CREATE TABLE along (id int REFERENCES t ON DELETE CASCADE);"
        "CREATE TABLE safe (a int REFERENCES t ON DELETE RESTRICT, b int REFERENCES t)"
    )
    assert sorted(told("archive_referrers", table="t", along=["along", "absent"])) == [
        ("b", False, "ON DELETE CASCADE", "child.id = old.id"),
        ("s.c", False, "ON DELETE SET DEFAULT", "child.id = old.id"),
        ("s.c", False, "ON DELETE SET NULL", 'child.x = old."No" AND child.y = old.id'),
        ("t", True, "ON DELETE CASCADE", "child.up = old.id"),
    ]
    names = [row[0] for row in told("archive_referrers", table="t", along=[])]
    assert names == ["along", "b", "s.c", "s.c", "t"]


def test_a_key_of_partitions_is_told_once_and_one_of_a_partition_too(
    told: Told, execute: Any
) -> None:
    execute(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (9);"
        "CREATE TABLE t_2 PARTITION OF t DEFAULT;"
        "CREATE TABLE child (id int REFERENCES t ON DELETE CASCADE) PARTITION BY RANGE (id);"
        "CREATE TABLE child_1 PARTITION OF child DEFAULT;"
        "CREATE TABLE of_part (id int REFERENCES t_1 ON DELETE CASCADE)"
    )
    said = told("archive_referrers", table="t", along=[])
    assert [(row[0], row[1]) for row in said] == [("child", False), ("of_part", False)]


PICKED = """
CREATE TABLE t (id int, up int, at date) PARTITION BY RANGE (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (10) TO (20);
INSERT INTO t VALUES (1, 2, '2025-01-01'), (2, 1, '2025-01-02'), (3, 11, '2025-01-03'),
                     (11, 12, '2025-02-01'), (12, 1, '2025-02-02'), (13, 1, '2025-02-03');
CREATE TABLE picked AS SELECT tableoid AS part, ctid AS place FROM t WHERE id IN (1, 12);
CREATE TABLE old (id int, up int, at date);
CREATE TABLE child (id int); INSERT INTO child VALUES (1), (2), (3), (11), (12), (13), (NULL)
"""


def test_a_row_is_told_from_one_at_the_same_place_of_another_partition(
    told: Told, target: Engine, execute: Any, query: Any
) -> None:
    execute(PICKED)
    names = {"table": "t", "picked": "picked"}
    columns = RenderedSql("id, up, at", {})
    old = RenderedSql("old.id, old.up, old.at", {})
    refers = RenderedSql("child.id = old.id", {})
    up = RenderedSql("child.up = old.id", {})
    of_child = {"child": RenderedSql("child", {}), "refers": refers, **names}
    assert told("archive_referring", itself=False, **of_child) == [(2,)]
    of_itself = {"child": RenderedSql("t", {}), "refers": up, **names}
    assert told("archive_referring", itself=True, **of_itself) == [(3,)]
    assert told("archive_referring", itself=False, **of_itself) == [(4,)]
    (there,) = told("archive_picked", checksum=True, old_columns=old, **names)
    assert there[0] == 2
    assert told("archive_picked", checksum=False, old_columns=old, **names) == [(2,)]
    assert query("SELECT sum(('x' || left(md5(ROW(id, up, at)::text), 15))::bit(60)::bigint)"
                 " FROM t WHERE id IN (1, 12)") == [(there[1],)]  # fmt: skip
    condition = packaged_sql("archive_is_picked", picked="picked")
    assert told("archive_read", columns=columns, table="t", condition=condition) == [
        row for row in query("SELECT * FROM t ORDER BY id") if row[0] in (1, 12)
    ]
    stored = {"into": "old", "columns": columns, "old_columns": old, **names}
    assert told("archive_insert", checksum=True, **stored) == [there]
    assert told("archive_insert", checksum=False, **stored) == [(2,)]
    with target.connect() as connection:
        assert sent(connection, "archive_delete", **names).scalar() == 2
        left = connection.exec_driver_sql("SELECT id FROM t ORDER BY 1")
        assert [row[0] for row in left] == [2, 3, 11, 13]


@pytest.mark.parametrize(("where", "count"), [(None, 2), ("id <> 1 OR id = 13", 1)])
def test_rows_that_are_left_are_older_than_the_limit_and_meet_the_condition(
    told: Told, execute: Any, where: str | None, count: int
) -> None:
    execute(PICKED)
    condition = None if where is None else RenderedSql(where, {})
    given = {"table": "t", "column": "at", "cutoff": "2025-01-03", "where": condition}
    assert told("archive_left", **given) == [(count,)]


def test_rows_older_than_the_limit_are_picked_but_not_what_the_archive_has(
    target: Engine, execute: Any
) -> None:
    execute(PICKED + "; INSERT INTO old VALUES (1, 2), (2, 2), (9, 1)")
    given = {
        "table": "t", "bare": "t", "into": "old", "column": "at", "cutoff": "2025-02-02",
        "where": RenderedSql("id <> 3 OR id = 13", {}), "holds": True, "keep": False,
        "skip": False, "newest_first": False,
    }  # fmt: skip

    def picked(**but: Any) -> set[int]:
        how = {"picked": "chosen", "absent": False, "key": [], "limit": None}
        with target.connect() as connection:
            sent(connection, "archive_pick", **how | given | but)
            rows = connection.exec_driver_sql(
                "SELECT id FROM t JOIN chosen ON t.tableoid = part AND t.ctid = place"
            )
            return {row[0] for row in rows}

    assert picked() == {1, 2, 11}
    assert picked(where=None) == {1, 2, 3, 11}
    assert picked(absent=True, key=["id", "up"]) == {2, 11}
    assert picked(absent=True, key=["id"]) == {11}
    assert picked(limit=2) == {1, 2}
    assert picked(limit=2, newest_first=True) == {2, 11}


@pytest.mark.parametrize(
    ("holds", "keep", "left"),
    [(True, False, (set(), set())), (True, True, ({1}, set())), (False, True, ({1}, {1}))],
)
@pytest.mark.parametrize("of_children", [False, True])
def test_picked_rows_are_held_as_strictly_as_is_needed(
    target: Engine, execute: Any, query: Any, of_children: bool, holds: bool, keep: bool, left: Any
) -> None:
    execute(PICKED)
    given: dict[str, Any] = {
             "picked": "chosen", "table": "t", "column": "at", "cutoff": "2025-01-02",
             "where": None, "absent": False, "key": [], "limit": None, "newest_first": False,
             "skip": False, "bare": "t", "into": "old"}  # fmt: skip
    children = {"picked": "chosen", "table": "child", "column": "id", "parent": "t",
                "parent_picked": "picked", "referred": "id"}  # fmt: skip
    table = "child" if of_children else "t"
    with target.connect() as connection:
        if of_children:
            sent(connection, "archive_pick_children", **children, holds=holds, keep=keep)
            rows = connection.exec_driver_sql(
                "SELECT id FROM child JOIN chosen ON child.tableoid = part AND child.ctid = place"
            )
            assert {row[0] for row in rows} == {1, 12}
        else:
            sent(connection, "archive_pick", **given, holds=holds, keep=keep)
        free = f"SELECT id FROM {table} WHERE id = 1 FOR"
        for lock, expected in zip(("SHARE", "UPDATE"), left, strict=True):
            assert {row[0] for row in query(f"{free} {lock} SKIP LOCKED")} == expected, lock
