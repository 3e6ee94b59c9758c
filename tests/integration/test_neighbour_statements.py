"""What hangs on a table, by the catalogue's statements; on others hangs the same."""

import json
from typing import Any

import pytest

from headrace.template import RenderedSql
from tests.support.roles import create_role
from tests.support.statements import Told, sent

KEYS = """
CREATE SCHEMA s; CREATE SCHEMA o; CREATE SCHEMA headrace;
CREATE TABLE s.t (id int PRIMARY KEY, "No" int, up int REFERENCES s.t ON DELETE CASCADE,
                  UNIQUE ("No", id), CHECK (id > 0));
CREATE TABLE s.n (id int PRIMARY KEY, up int REFERENCES s.n ON DELETE CASCADE);
CREATE TABLE s.c (id int, no int, n int REFERENCES s.n ON DELETE CASCADE,
    CONSTRAINT pair FOREIGN KEY (no, id) REFERENCES s.t ("No", id) ON DELETE SET NULL DEFERRABLE);
CREATE TABLE o.d (id int REFERENCES s.t ON DELETE CASCADE, t int DEFAULT 1
                  REFERENCES s.t ON DELETE SET DEFAULT, r int REFERENCES s.t ON DELETE RESTRICT);
ALTER TABLE o.d ADD CONSTRAINT late FOREIGN KEY (t) REFERENCES s.t ON UPDATE CASCADE NOT VALID
"""
PARTS = """
CREATE TABLE p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE TABLE p_3 PARTITION OF p FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE q (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE q_1 PARTITION OF q FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE q_rest PARTITION OF q DEFAULT
"""

KEEP = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"


@pytest.fixture
def oid(query: Any) -> Any:
    return lambda name: int(query(f"SELECT '{name}'::regclass::oid::bigint")[0][0])


def test_rows_of_children_change_by_the_tables_own_keys(told: Told, execute: Any, oid: Any) -> None:
    execute(KEYS)
    assert sorted(told("cascading_children", oid=oid("s.t"))) == [
        ("o.d", "d_id_fkey", "are deleted, too"),
        ("o.d", "d_t_fkey", "have their default now"),
        ("s.c", "pair", "refer to nothing now"),
    ]


def test_foreign_keys_are_told_from_and_to_a_table(told: Told, execute: Any, oid: Any) -> None:
    execute(KEYS)
    rows = told("foreign_keys_of", oids=[oid("s.t")])
    assert [(row[0], row[1], row[4], row[5], *row[6:]) for row in rows] == [
        ("d_id_fkey", "o", "o.d", "s.t", False, ["id"], ["id"], " ON DELETE CASCADE"),
        ("d_r_fkey", "o", "o.d", "s.t", False, ["r"], ["id"], " ON DELETE RESTRICT"),
        ("d_t_fkey", "o", "o.d", "s.t", False, ["t"], ["id"], " ON DELETE SET DEFAULT"),
        ("late", "o", "o.d", "s.t", False, ["t"], ["id"], " ON UPDATE CASCADE"),
        ("pair", "s", "s.c", "s.t", True, ["no", "id"], ["No", "id"],
         " ON DELETE SET NULL DEFERRABLE"),
        ("t_up_fkey", "s", "s.t", "s.t", False, ["up"], ["id"], " ON DELETE CASCADE"),
    ]  # fmt: skip
    of_child = told("foreign_keys_of", oids=[oid("s.c")])
    assert [row[0] for row in of_child] == ["c_n_fkey", "pair"]
    execute("CREATE TABLE k (id int REFERENCES s.n) PARTITION BY RANGE (id);"
            "CREATE TABLE k_1 PARTITION OF k DEFAULT")  # fmt: skip
    both = told("foreign_keys_of", oids=[oid("k"), oid("public.k_1")])
    assert [(row[0], row[2], row[3]) for row in both] == [("k_id_fkey", oid("k"), oid("s.n"))]


def test_a_dropped_table_takes_along_what_hangs_on_it(told: Told, execute: Any) -> None:
    execute(KEYS)
    execute(
        "CREATE TABLE o.heir () INHERITS (s.t); CREATE VIEW o.v AS SELECT * FROM o.heir;"
        "CREATE MATERIALIZED VIEW s.m AS SELECT * FROM o.v; CREATE VIEW s.of_n AS TABLE s.n;"
        "CREATE TABLE s.heir_of_n () INHERITS (s.n); CREATE VIEW s.of_two AS SELECT 1 FROM s.n, s.m"
    )
    gone = ["o.heir", "o.v", "s.m", "s.of_two"]
    of_d = ("d_id_fkey", "d_r_fkey", "d_t_fkey", "late")
    keys = [f"the foreign key {key} of o.d" for key in of_d] + ["the foreign key pair of s.c"]
    assert told("dropped_with", table="s.t") == [(name,) for name in gone + keys]
    assert told("dropped_with", table="s.c") == []


def test_a_truncated_table_empties_heirs_and_with_cascade_those_that_refer_to_it(
    told: Told, execute: Any
) -> None:
    execute(KEYS)
    execute(
        "CREATE TABLE o.heir () INHERITS (s.t); CREATE VIEW o.v AS TABLE s.t;"
        "CREATE TABLE o.heir_of_d () INHERITS (o.d); CREATE TABLE s.heir_of_n () INHERITS (s.n);"
        "ALTER TABLE s.c ADD PRIMARY KEY (id); CREATE TABLE a (id int REFERENCES s.c, at date)"
        " PARTITION BY RANGE (at); CREATE TABLE a_1 PARTITION OF a DEFAULT;"
        "CREATE TABLE z (id int) PARTITION BY RANGE (id); CREATE TABLE z_1 PARTITION OF z DEFAULT"
    )
    assert told("emptied_tables", table="s.t", cascade=False) == [("s.t",), ("o.heir",)]
    assert [name for (name,) in told("emptied_tables", table="s.t", cascade=True)] == [
        "s.t", "o.d", "o.heir", "public.a", "public.a_1", "s.c"]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "drops"),
    [
        ("BEFORE INSERT ON p FOR EACH ROW", True),
        ("BEFORE INSERT ON p_2 FOR EACH ROW", True),
        ("BEFORE INSERT OR UPDATE ON p FOR EACH ROW", True),
        ("BEFORE UPDATE OR DELETE ON p FOR EACH ROW", False),
        ("AFTER INSERT ON p FOR EACH ROW", False),
        ("BEFORE INSERT ON p", False),
        ("BEFORE INSERT ON q FOR EACH ROW", False),
        ("INSTEAD OF INSERT ON v FOR EACH ROW", False),
        (("BEFORE INSERT ON p FOR EACH ROW; ALTER TABLE p DISABLE TRIGGER g;"
         " ALTER TABLE p_1 DISABLE TRIGGER g; ALTER TABLE p_2 DISABLE TRIGGER g;"
         " ALTER TABLE p_3 DISABLE TRIGGER g"), False),
    ],
)  # fmt: skip
def test_only_a_tables_own_triggers_before_each_inserted_row_drop_rows(
    told: Told, execute: Any, oid: Any, made: str, drops: bool
) -> None:
    execute(f"{PARTS}; CREATE VIEW v AS TABLE q; {KEEP}")
    where, _, more = made.partition(";")
    execute(f"CREATE TRIGGER g {where} EXECUTE FUNCTION keep(); {more}")
    assert told("drops_rows", oid=oid("p")) == [(drops,)]
    if " v " in made:
        assert told("drops_rows", oid=oid("v")) == [(True,)]


def test_the_partitions_of_a_table_are_its_own_with_their_bounds(
    told: Told, execute: Any, oid: Any
) -> None:
    execute(PARTS)
    given = {"oid": oid("p"), "type": RenderedSql("date", {})}
    bounds = [("p_1", None, "2025-01-01"), ("p_2", "2025-01-01", "2026-01-01"),
              ("p_3", "2026-01-01", None)]  # fmt: skip
    rows = told("partitions", **given, limit=None)
    assert rows == [(name, name, low, high, False) for name, low, high in bounds]
    for limit, old in (("2024-12-31", 0), ("2025-01-01", 1), ("2025-12-31", 1), ("2026-01-01", 2)):
        rows = told("partitions", **given, limit=limit)
        assert [row[4] for row in rows] == [True] * old + [False] * (3 - old), limit
    of_other = told("partitions", **given | {"oid": oid("q")}, limit=None)
    assert [row[0] for row in of_other] == ["q_1"]


def test_how_a_table_is_partitioned_is_told_of_it_alone(told: Told, execute: Any, oid: Any) -> None:
    execute(PARTS)
    execute('CREATE TABLE x (id int, "At" int) PARTITION BY LIST ("At");'
            "CREATE TABLE y (id int, at int) PARTITION BY RANGE (id, at);"
            "CREATE TABLE z (id int, at int) PARTITION BY RANGE ((id + at))")  # fmt: skip
    said = {name: told("partitioned_table", table=name)[0] for name in ("p", "q", "x", "p_1")}
    assert said["p"] == (oid("p"), "public", "p", True, "r", "at", "date", None)
    assert said["q"] == (oid("q"), "public", "q", True, "r", "at", "date", "q_rest")
    assert said["x"][3:] == (True, "l", '"At"', "integer", None)
    assert said["p_1"][3:] == (False, None, None, None, None)
    for name in ("y", "z"):
        assert told("partitioned_table", table=name)[0][3:6] == (True, "r", None), name
    assert told("partitioned_table", table="absent") == []


@pytest.mark.parametrize(
    ("low", "high", "has"),
    [
        (10, 20, "all"), (12, 18, "all"), (9, 20, "m"), (10, 21, "m"),
        (5, 10, None), (20, 30, None), (19, 25, "m"), (5, 11, "m"),
        (-9, -5, "all"), (-9, 1, "l"), (40, 50, "all"), (39, 50, "h"),
    ],
)  # fmt: skip
def test_a_partition_overlaps_a_range_by_what_both_have(
    told: Told, low: int, high: int, has: str | None
) -> None:
    """A range that a partition has as a whole is not missing; others come in their order."""
    parts = {"l": (None, "0"), "m": ("10", "20"), "h": ("40", None)}
    given = json.dumps([{"name": n, "low": of[0], "high": of[1]} for n, of in parts.items()])
    rows = ", ".join(f"('{a}', '{b}', '{a}')" for a, b in ((30, 35), (low, high), (3, 5)))
    wanted = RenderedSql(f"SELECT * FROM (VALUES {rows}) AS w (low, high, suffix)", {})
    found = told("partitions_missing", partitions=given, wanted=wanted, type=RenderedSql("int", {}))
    missing = [("3", "5", "3", None, None, None), ("30", "35", "30", None, None, None)]
    if has != "all":
        its = (None, None, None) if has is None else (has, *parts[has])
        missing.append((str(low), str(high), str(low), *its))
    assert found == sorted(missing, key=lambda one: int(one[0]))


def test_a_pattern_means_tables_of_the_user(told: Told, execute: Any) -> None:
    execute(PARTS)
    execute("CREATE SCHEMA headrace; CREATE TABLE headrace.job (); CREATE SCHEMA s;"
            "CREATE TABLE s.t (); CREATE VIEW v AS TABLE q; CREATE SEQUENCE n")  # fmt: skip
    user = [("public", "p", True), ("public", "q", True), ("s", "t", False)]
    assert told("tables_there") == [(*one, False) for one in user]


def test_tables_that_a_role_may_read_as_a_whole_are_locked(
    told: Told, target: Any, execute: Any, oid: Any
) -> None:
    execute(PARTS)
    execute(create_role("locks"))
    execute("CREATE VIEW v AS TABLE q; GRANT SELECT (id) ON q_1 TO locks;"
            "GRANT SELECT ON v, p, p_1, p_2 TO locks")  # fmt: skip
    oids = [oid(name) for name in ("v", "q_1", "p_2", "p")]
    assert [name for (name,) in told("lockable_tables", oids=oids)] == [
        "public.p", "public.p_2", "public.q_1"]  # fmt: skip
    with target.connect() as connection:
        connection.exec_driver_sql("SET ROLE locks")
        seen = [row.name for row in sent(connection, "lockable_tables", oids=oids)]
    assert seen == ["public.p", "public.p_2"]


def test_a_table_is_read_in_parts_the_longest_first(told: Told, execute: Any, oid: Any) -> None:
    execute(PARTS)
    execute("CREATE VIEW v AS TABLE q; CREATE MATERIALIZED VIEW m AS TABLE q;"
            "INSERT INTO p SELECT n, '2025-05-05' FROM generate_series(1, 500) n;"
            "INSERT INTO p VALUES (1, '2026-06-06')")  # fmt: skip
    parts = [(row[0], row[3], row[4]) for row in told("table_parts", oid=oid("p"))]
    assert parts == [(f"public.p_{number}", True, True) for number in (2, 3, 1)]
    assert [row[0] for row in told("table_parts", oid=oid("q_1"))] == ["public.q_1"]
    assert [row[3] for row in told("table_parts", oid=oid("v"))] == [False]
    assert [row[3] for row in told("table_parts", oid=oid("m"))] == [False]


def test_rows_of_the_default_partition_move_within_the_bounds_alone(
    target: Any, execute: Any, query: Any
) -> None:
    execute(
        "CREATE TABLE rest (id int, n int GENERATED ALWAYS AS (1) STORED);"
        "CREATE TABLE heir () INHERITS (rest); CREATE TABLE part (LIKE rest);"
        "INSERT INTO rest SELECT generate_series(8, 21); INSERT INTO heir VALUES (15)"
    )
    given = {"rest": RenderedSql("rest", {}), "partition": RenderedSql("part", {}),
             "column": RenderedSql("id", {}), "type": RenderedSql("int", {}), "columns": ["id"],
             "low": "10", "high": "20"}  # fmt: skip
    with target.connect() as connection:
        sent(connection, "move_to_partition", **given)
        rows = {name: [row[0] for row in connection.exec_driver_sql(f"SELECT id FROM {name}")]
                for name in ("ONLY rest", "part", "heir")}  # fmt: skip
    assert rows == {"ONLY rest": [8, 9, 20, 21], "part": list(range(10, 20)), "heir": [15]}
    assert query("SELECT count(*) FROM ONLY rest") == [(14,)]


def test_a_partitions_bound_is_its_own(told: Told, execute: Any) -> None:
    execute(PARTS)
    ((bound, meets),) = told("partition_bound", name="p_2")
    assert bound == "FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')"
    assert "2025-01-01" in meets
    assert told("partition_bound", name="q_rest")[0][0] == "DEFAULT"


@pytest.mark.parametrize(
    ("given", "lows"),
    [
        ({"last": 10}, ["10", "20", "30"]),
        ({"last": 40}, ["20", "30"]),
        ({"last": None}, ["20", "30"]),
        ({"first": 5, "last": 10}, ["0", "10", "20", "30"]),
        ({"present": None, "step": 1}, ["0", "1"]),
    ],
)
def test_ranges_of_numbers_begin_where_the_last_partition_ends(
    told: Told, given: dict[str, Any], lows: list[str]
) -> None:
    how = {"unit": None, "present": 25, "first": None, "last": None, "step": 10, "premake": 1,
           "type": RenderedSql("int", {})}  # fmt: skip
    assert [row[0] for row in told("partitions_wanted", **how | given)] == lows


@pytest.mark.parametrize(
    ("given", "suffixes"),
    [
        ({"last": "2025-12-01"}, ["202512", "202601", "202602"]),
        ({"last": "2026-05-01"}, ["202601", "202602"]),
        ({"last": None}, ["202601", "202602"]),
        ({"first": "2025-11-30", "last": "2026-05-01"},
         ["202511", "202512", "202601", "202602"]),
        ({"premake": 0}, ["202601"]),
        ({"unit": "year", "step": "1 year", "last": "2024-01-01"},
         ["202401", "202501", "202601", "202701"]),
    ],
)  # fmt: skip
def test_ranges_of_time_begin_where_the_last_partition_ends(
    told: Told, given: dict[str, Any], suffixes: list[str]
) -> None:
    how = {"unit": "month", "present": "2026-01-31T12:30:00+00:00", "first": None, "last": None,
           "step": "1 month", "premake": 1, "pattern": "YYYYMM",
           "type": RenderedSql("date", {})}  # fmt: skip
    rows = told("partitions_wanted", **how | given)
    assert [row[2] for row in rows] == suffixes
    assert [row[0] for row in rows] == [f"{one[:4]}-{one[4:]}-01" for one in suffixes]
    assert [row[1] for row in rows[:-1]] == [row[0] for row in rows[1:]]


def test_what_is_no_plain_table_is_not_swapped(told: Told, execute: Any, oid: Any) -> None:
    execute(PARTS)
    execute("CREATE TYPE shape AS (a int); CREATE TABLE typed OF shape; CREATE TABLE plain (a int)")
    for name, what in (
        ("p", "partitioned table"), ("p_1", "partition"),
        ("typed", "table of a type, or no plain table"),
    ):  # fmt: skip
        assert f"it is a {what}" in [row[0] for row in told("swap_obstacles", oid=oid(name))]
    assert told("swap_obstacles", oid=oid("plain")) == []
