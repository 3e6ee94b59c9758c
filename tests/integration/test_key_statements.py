"""The statements that compare rows by a key of two columns, of which other rows have one each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from headrace.template import RenderedSql
from tests.support.statements import sent

# Both parts of a key are staged for four rows, but together only for the first.
ROWS = """
CREATE TABLE t (a int, b int, v text, w json, mark timestamptz);
INSERT INTO t VALUES (1, 1, 'old', '1', NULL), (1, 2, 'first', '1', NULL),
                     (2, 1, 'second', '1', NULL), (3, 3, 'none', '1', NULL);
CREATE TEMPORARY TABLE staged (a int, b int, v text, w json);
INSERT INTO staged VALUES (1, 1, 'new', '1'), (2, 2, 'come', '2');
CREATE TABLE child (a int, b int); INSERT INTO child VALUES (1, 2), (3, 9), (9, 3);
CREATE TABLE alone (a int); INSERT INTO alone VALUES (2);
CREATE TABLE source (a text, b int); INSERT INTO source VALUES ('1', 1), ('2', 2)
"""
T = RenderedSql("t", {})
KEY: dict[str, Any] = {"table": T, "staged": "staged", "key": ["a", "b"]}
CAST: dict[str, Any] = {
    "table": T,
    "source": RenderedSql("source", {}),
    "key": [{"name": "a", "cast": RenderedSql("::int", {})},
            {"name": "b", "cast": RenderedSql("", {})}],
}  # fmt: skip
BOTH, FIRST, SECOND, NONE = (1, 1), (1, 2), (2, 1), (3, 3)
Send = Callable[..., list[tuple[Any, ...]]]


class Rows:
    """A table and what is staged for it, in one transaction that is taken back."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.sql(ROWS)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        result = self._connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []

    def send(self, template: str, **values: Any) -> Any:
        return sent(self._connection, template, **values)

    def told(self, template: str, **values: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.send(template, **values)]

    def keys(self, of: str = "t") -> list[tuple[Any, ...]]:
        return self.sql(f"SELECT a, b FROM {of} ORDER BY 1, 2")


@pytest.fixture
def rows(target: Engine) -> Iterator[Rows]:
    with target.connect() as connection:
        yield Rows(connection)


@pytest.mark.parametrize(
    ("template", "left"),
    [("delete_keys", [FIRST, SECOND, NONE]), ("delete_missing", [BOTH]), ("delete_all", [])],
)
def test_rows_are_deleted_by_the_whole_key(rows: Rows, template: str, left: Any) -> None:
    rows.send(template, **KEY)
    assert rows.keys() == left


def test_rows_to_which_others_refer_are_not_deleted(rows: Rows) -> None:
    child = {"table": RenderedSql("child", {}), "pairs": [("a", "a"), ("b", "b")]}
    alone = {"table": RenderedSql("alone", {}), "pairs": [("a", "a")]}

    rows.send("delete_unreferenced", **KEY, referring=[child, alone])

    assert rows.keys() == [BOTH, FIRST, SECOND]
    rows.send("delete_unreferenced", **KEY, referring=[])
    assert rows.keys() == [BOTH]


def test_groups_vanish_by_the_whole_key(rows: Rows) -> None:
    assert rows.told("count_vanished", **CAST) == [(4, 3)]
    rows.send("delete_vanished", **CAST)
    assert rows.keys() == [BOTH]


def test_rows_are_counted_by_the_whole_key(rows: Rows) -> None:
    for by in ({"as_text": False}, {"as_text": True}):
        assert rows.told("count_replaced", **KEY, **by) == [(4, 3)]
        assert rows.told("count_replaced", **KEY | {"key": None}, **by) == [(4, 2)]
        assert rows.told("count_replaced", table=T, key=None, staged=None, **by) == [(4, 0)]
    assert rows.told("missing_keys", **KEY) == [(1,)]
    rows.sql("INSERT INTO staged VALUES (2, 3), (3, 1), (1, 2)")
    assert rows.told("missing_keys", **KEY) == [(3,)]


def test_a_row_that_is_not_staged_is_found_by_the_whole_key(rows: Rows) -> None:
    assert rows.told("unstaged_row", **KEY, heirs_of=None) == [(True,)]
    rows.sql("DELETE FROM t WHERE a = 3")
    assert rows.told("unstaged_row", **KEY, heirs_of=None) == [(True,)]
    rows.sql("DELETE FROM t WHERE a <> b")
    assert rows.told("unstaged_row", **KEY, heirs_of=None) == [(False,)]
    assert rows.told("unstaged_row", **KEY | {"key": None}, heirs_of=None) == [(True,)]
    rows.sql("INSERT INTO t VALUES (3, 3); CREATE TABLE heir () INHERITS (t)")
    ((oid,),) = rows.sql("SELECT 't'::regclass::oid::int")
    assert rows.told("unstaged_row", **KEY, heirs_of=oid) == [(False,)]
    rows.sql("INSERT INTO heir VALUES (1, 1)")
    assert rows.told("unstaged_row", **KEY, heirs_of=oid) == [(False,)]
    assert rows.told("unstaged_row", **KEY | {"key": None}, heirs_of=oid) == [(True,)]
    rows.sql("INSERT INTO heir VALUES (1, 4)")
    assert rows.told("unstaged_row", **KEY, heirs_of=oid) == [(True,)]


def test_a_key_is_doubled_or_null_as_a_whole(rows: Rows) -> None:
    given = {"table": T, "key": ["a", "b"]}
    assert rows.told("doubled_key", **given) == []
    rows.sql("INSERT INTO t VALUES (1, 2)")
    assert rows.told("doubled_key", **given) == [(1, 2, 2)]
    for part, other in (("a", "b"), ("b", "a")):
        rows.sql(f"TRUNCATE t; TRUNCATE staged; INSERT INTO t ({part}) VALUES (1)")
        assert rows.told("null_key", staged="staged", key=["a", "b"]) == [(False,)]
        rows.sql(f"INSERT INTO staged ({part}) VALUES (1)")
        assert rows.told("null_key", staged="staged", key=["a", "b"]) == [(True,)]
        ((row),) = rows.told("doubled_key", **given)
        assert (row["ab".index(other)], row[2]) == (None, 1)


def test_rows_are_marked_and_unmarked_by_the_whole_key(rows: Rows) -> None:
    earlier = "'2000-01-01'::timestamptz"
    rows.sql(f"UPDATE t SET mark = {earlier} WHERE a = 3")
    assert rows.send("mark_deleted", **KEY, mark="mark").rowcount == 2
    marked = f"SELECT a, b FROM t WHERE mark = {earlier}"
    assert rows.sql("SELECT a, b FROM t WHERE mark IS NULL") == [BOTH]
    assert rows.sql(marked) == [NONE]
    assert rows.send("unmark_deleted", **KEY, mark="mark").rowcount == 0
    rows.sql(f"UPDATE t SET mark = {earlier}")
    assert rows.send("unmark_deleted", **KEY, mark="mark").rowcount == 1
    assert rows.sql("SELECT a, b FROM t WHERE mark IS NULL") == [BOTH]


@pytest.mark.parametrize("delete", [True, False])
@pytest.mark.parametrize("rest", [["v", "w"], []])
@pytest.mark.parametrize("changes", ["changes", "staged"])
def test_rows_are_merged_by_the_whole_key(
    rows: Rows, delete: bool, rest: list[str], changes: str
) -> None:
    rows.sql("INSERT INTO staged VALUES (3, 1, 'three', '1'), (1, 3, 'four', '1')")
    rows.sql("INSERT INTO t VALUES (5, 5, 'same', '1')")
    rows.sql("INSERT INTO staged VALUES (5, 5, 'same', '1')")
    how = {"columns": ["a", "b", "v", "w"], "rest": rest, "delete": delete, "always": False}
    rows.send("keep_changes", **KEY, rest=rest, changed="changes")
    new = [(1, 3), (2, 2), (3, 1)]
    assert rows.keys("pg_temp.changes") == sorted([*new, BOTH] if rest else new)

    (counts,) = rows.told("write_by_key", **KEY, changes=changes, **how, count_differing=False)

    assert counts == (3, 1 if rest else 0, 3 if delete else 0)
    assert rows.keys() == sorted([BOTH, *new, (5, 5)] + ([] if delete else [FIRST, SECOND, NONE]))
    assert rows.sql("SELECT v FROM t WHERE a = 1 AND b = 1") == [("new" if rest else "old",)]


def test_a_value_is_free_when_another_row_takes_it(rows: Rows) -> None:
    rows.sql("ALTER TABLE t ADD UNIQUE (v); UPDATE staged SET v = 'none' WHERE a = 2;"
             "INSERT INTO staged VALUES (7, 7, 'old', '1')")  # fmt: skip
    how = {"columns": ["a", "b", "v"], "rest": ["v"], "delete": True, "always": False}
    given = KEY | how | {"changes": "staged", "count_differing": False}
    assert rows.told("write_by_key", **given) == [(2, 1, 3)]


def test_rows_that_a_trigger_has_kept_as_they_were_are_counted(rows: Rows) -> None:
    rows.sql("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
             " $$ BEGIN RETURN NULL; END $$; CREATE TRIGGER keep BEFORE UPDATE ON t"
             " FOR EACH ROW EXECUTE FUNCTION keep()")  # fmt: skip
    rows.sql("INSERT INTO staged VALUES (3, 3, 'none', '1')")
    how = {"columns": ["a", "b", "v", "w"], "rest": ["v", "w"], "delete": False, "always": False}
    told = rows.told("write_by_key", **KEY, changes="staged", **how, count_differing=True)
    assert told == [(1, 0, 0, 1)]
    assert rows.told("differing_identity", **KEY, columns=["v"]) == [(1,)]
    assert rows.told("differing_identity", **KEY, columns=["v", "b"]) == [(1,)]


HISTORY = """
DROP TABLE t; CREATE TABLE t (a int, b int, v text, "from" timestamptz, "to" timestamptz, now bool);
INSERT INTO t VALUES (1, 1, 'new', '2000-01-01', '2001-01-01', false),
                     (1, 1, 'old', '2001-01-01', NULL, true),
                     (1, 2, 'first', '2000-01-01', NULL, true),
                     (2, 1, 'second', '2000-01-01', NULL, true),
                     (3, 3, 'none', '2000-01-01', NULL, true),
                     (4, 4, 'same', '2000-01-01', NULL, true),
                     (2, 2, 'come', '2000-01-01', '2001-01-01', false);
ALTER TABLE staged DROP COLUMN w; INSERT INTO staged VALUES (4, 4, 'same')
"""
CURRENT = 'SELECT a, b, v FROM t WHERE "to" IS NULL ORDER BY 1, 2'
AT = "2020-02-02 00:00:00+00"
TO = {"valid_to": "to", "current": "now", "at": AT}


@pytest.mark.parametrize("rest", [["v"], []])
def test_versions_change_by_the_whole_key(rows: Rows, rest: list[str]) -> None:
    rows.sql(HISTORY)

    rows.send("history_changes", **KEY, valid_to="to", changed="changes", rest=rest)

    changed = [BOTH, (2, 2)] if rest else [(2, 2)]
    assert rows.keys("pg_temp.changes") == changed
    assert rows.send("history_close", **KEY, **TO, rows="staged", missing=True).rowcount == 3
    closed = rows.send("history_close", **KEY, **TO, rows="changes", missing=False).rowcount
    assert closed == len(rest)
    given = TO | {"columns": ["a", "b", "v"], "valid_from": "from", "always": False}
    assert rows.send("history_open", table=T, changed="changes", **given).rowcount == len(changed)
    assert rows.sql(CURRENT) == [
        (1, 1, "new" if rest else "old"), (2, 2, "come"), (4, 4, "same")]  # fmt: skip
    assert rows.sql(CURRENT.replace('"to" IS NULL', "now")) == rows.sql(CURRENT)
    ended = f"SELECT count(*) FROM t WHERE \"to\" = '{AT}'"
    assert rows.sql(ended) == [(3 + len(rest),)]
    assert rows.sql(ended.replace('"to"', '"from"')) == [(len(changed),)]


def test_a_version_begins_now_but_never_before_one_that_is_there(rows: Rows) -> None:
    rows.sql(HISTORY)
    now = "SELECT clock_timestamp()::text"
    ((before,),) = rows.sql(now)
    ((at,),) = rows.told("history_boundary", table=T, valid_from="from")
    ((after,),) = rows.sql(now)
    assert rows.sql(f"SELECT '{at}'::timestamptz BETWEEN '{before}' AND '{after}'") == [(True,)]
    rows.sql("INSERT INTO t (\"from\") VALUES ('2100-01-01')")
    assert rows.told("history_boundary", table=T, valid_from="from") == [
        ("2100-01-01 00:00:00+00",)
    ]


def test_a_forecast_counts_by_the_whole_key(rows: Rows) -> None:
    compared = [{"name": "v", "value": RenderedSql("target.v", {})}]
    given = {"compared": compared, "added": [], "live": None, "marked": None}
    # inserted, updated, missing, present, restored, before
    assert rows.told("forecast_by_key", **KEY, **given) == [(1, 1, 3, 1, 0, 4)]
    assert rows.told("forecast_by_key", **KEY, **given | {"compared": []}) == [(1, 0, 3, 1, 0, 4)]
    assert rows.told("forecast_by_key", **KEY, **given | {"compared": [], "added": ["w"]}) == [
        (1, 1, 3, 1, 0, 4)
    ]
    rows.sql("UPDATE staged SET v = 'old', w = NULL WHERE a = 1")
    assert rows.told("forecast_by_key", **KEY, **given | {"added": ["w"]}) == [(1, 0, 3, 1, 0, 4)]
    rows.sql("UPDATE t SET mark = now() WHERE a = 3 OR b = 2")
    marked = given | {"marked": "mark"}
    assert rows.told("forecast_by_key", **KEY, **marked) == [(1, 0, 1, 1, 0, 2)]
    rows.sql("UPDATE t SET mark = now()")
    assert rows.told("forecast_by_key", **KEY, **marked) == [(1, 0, 0, 1, 1, 0)]


def test_a_forecast_compares_current_versions(rows: Rows) -> None:
    rows.sql(HISTORY)
    compared = [{"name": "v", "value": RenderedSql("target.v", {})}]
    given = {"compared": compared, "added": [], "live": "to", "marked": None}
    ((*counts, _present, restored, before),) = rows.told("forecast_by_key", **KEY, **given)
    assert (*counts, restored, before) == (1, 1, 3, 0, 5)


def test_a_file_sets_aside_what_it_alone_could_not_load(rows: Rows) -> None:
    rows.send("create_rejected", table="aside")
    for job, lines in (("ours", [1, 2]), ("other", [3])):
        rows.send("insert_rejected", table="aside", job_id=job, attempt=1, run_id="r",
            files=["f"] * len(lines), lines=lines, columns=["c"] * len(lines),
            reasons=["why"] * len(lines), raws=["x"] * len(lines))  # fmt: skip

    rows.send("delete_rejected", table="aside", job_id="ours")

    assert rows.sql("SELECT job_id, line FROM aside") == [("other", 3)]


@pytest.mark.parametrize(
    ("sort", "stay"),
    [
        ([], ["d", "e"]),
        ([("w", False)], ["c", "e"]),
        ([("w", True)], ["b", "e"]),
    ],
)
def test_of_equal_keys_the_row_stays_that_is_first_by_the_order_else_the_last(
    rows: Rows, sort: list[tuple[str, bool]], stay: list[str]
) -> None:
    rows.sql(
        "DROP TABLE staged; CREATE TEMPORARY TABLE staged (a int, b int, v text, w int);"
        "INSERT INTO staged VALUES (1, 1, 'a', 3), (1, 1, 'b', 3), (1, 1, 'c', 1),"
        " (1, 1, 'd', NULL), (1, 2, 'e', 9)"
    )
    order = [{"name": name, "descending": descending} for name, descending in sort]
    rows.send("drop_duplicates", staged="staged", key=["a", "b"], sort=order)
    assert rows.sql("SELECT v FROM staged ORDER BY 1") == [(one,) for one in stay]


def test_generated_identities_are_overridden_only_where_that_is_asked(rows: Rows) -> None:
    rows.sql("ALTER TABLE t ADD COLUMN id int GENERATED ALWAYS AS IDENTITY (START 50);"
             "ALTER TABLE staged ADD COLUMN id int; UPDATE staged SET id = 7;"
             "DELETE FROM t; DELETE FROM staged WHERE a = 2")  # fmt: skip
    columns = {"columns": ["a", "id"], "always": True}
    rows.send("insert_staged", table=T, staged="staged", **columns)
    rows.send("write_by_key", **KEY, changes="staged", rest=[], delete=True, count_differing=False,
              **columns)  # fmt: skip
    assert rows.sql("SELECT id FROM t WHERE a = 1") == [(7,)]
