"""What `on_schema_change` makes of each difference between rows and their table."""

import pytest

from headrace.errors import JobFailure
from headrace.jobs.tables.schema_drift import Drift, Pair, agree, compare
from headrace.jobs.tables.table_catalog import Column, Table

ID = Column("id", "integer", not_null=True, in_key=True)


def table(*columns: Column) -> Table:
    return Table(
        "t", 1, "public", "t", "r", "", readable=True, filtered=False, referenced=False,
        sifted=False, heirs=None, comment=None, columns=columns,
    )  # fmt: skip


def differences(there: list[Column], given: list[Column], *, unlike: bool = False) -> Drift:
    drift = compare(table(*there), given, frozenset())
    drift.pairs = [
        Pair(pair.given, pair.target, storable=not (unlike and pair.given.type != pair.target.type))
        for pair in drift.pairs
    ]
    return drift


def outcome(drift: Drift, policy: str, *, replaces: bool = False):
    found = agree(drift, policy, replaces=replaces)  # type: ignore[arg-type]
    return (
        [column.name for column in found.columns],
        [change.display for change in found.changes],
        found.anew,
        list(found.notes),
    )


A, NEW = Column("a", "text"), Column("new", "text")


def test_columns_are_compared_by_their_names():
    ours = Column("g", "integer", generated=True)
    own = Column("own", "text")
    drift = compare(table(ID, A, ours), [own, ID, NEW, Column("g", "integer")], frozenset({"own"}))

    assert [pair.given.name for pair in drift.pairs] == ["id"]
    assert [column.name for column in drift.new] == ["new"]
    assert [column.name for column in drift.extra] == ["a"]


def test_no_difference_is_none_to_any_policy():
    drift = differences([ID, A], [A, ID])

    for policy in ("fail", "ignore", "append_new_columns", "sync_all_columns", "recreate"):
        assert outcome(drift, policy) == (["a", "id"], [], False, [])


ADDED = ['ALTER TABLE "public"."t" ADD COLUMN "new" text']


@pytest.mark.parametrize(
    ("policy", "replaces", "found"),
    [
        ("ignore", False, (["id"], [], False, ["new is left out: t has no such column"])),
        ("append_new_columns", False, (["id", "new"], ADDED, False, [])),
        ("sync_all_columns", False, (["id", "new"], ADDED, False, [])),
        ("recreate", True, (["id"], [], True, [])),
    ],
)
def test_a_new_column_is_left_out_or_added(policy, replaces, found):
    assert outcome(differences([ID], [ID, NEW]), policy, replaces=replaces) == found


@pytest.mark.parametrize(
    ("there", "given", "policy", "replaces", "told"),
    [
        (
            [ID],
            [ID, NEW],
            "fail",
            False,
            (
                "t does not fit the rows: it has no column new (text). Change the table or the"
                " query, or set on_schema_change: append_new_columns, or ignore (leaves new"
                " columns out)"
            ),
        ),
        (
            [ID],
            [ID, NEW],
            "fail",
            True,
            (
                "t does not fit the rows: it has no column new (text). Change the table or the"
                " query, or set on_schema_change: append_new_columns, or ignore (leaves new"
                " columns out),"
                " or recreate (drops the table with its privileges and creates it again)"
            ),
        ),
        (
            [ID],
            [A],
            "ignore",
            False,
            (
                "t does not fit the rows: its column id is NOT NULL without a default, and there is"
                " no value for it. Change the table or the query"
            ),
        ),
        (
            [ID],
            [A],
            "append_new_columns",
            True,
            (
                "t does not fit the rows: its column id is NOT NULL without a default, and there is"
                " no value for it. Change the table or the query, or set on_schema_change:"
                " sync_all_columns, or recreate (drops the table with its privileges and creates it"
                " again)"
            ),
        ),
        (
            [Column("a", "date")],
            [A],
            "fail",
            False,
            (
                "t does not fit the rows: its column a is date, which cannot take text. Change the"
                " table or the query, or set on_schema_change: sync_all_columns"
            ),
        ),
        (
            [ID],
            [A],
            "sync_all_columns",
            False,
            (
                "t does not fit the rows: its column id is NOT NULL without a default, and there is"
                " no value for it. Give the column a default, or a value"
            ),
        ),
        ([A], [NEW], "ignore", False, "t has none of the rows' columns"),
    ],
)
def test_a_difference_that_stays_is_told_with_what_can_be_done(
    there, given, policy, replaces, told
):
    with pytest.raises(JobFailure) as refused:
        agree(differences(there, given, unlike=True), policy, replaces=replaces)

    assert str(refused.value) == told


@pytest.mark.parametrize(("replaces", "using"), [(True, "NULL::date"), (False, '"a"::text::date')])
def test_a_type_is_changed_for_rows_that_stay_or_for_none(replaces, using):
    drift = differences([A], [Column("a", "date")])

    names, changes, _, notes = outcome(drift, "sync_all_columns", replaces=replaces)

    assert names == ["a"]
    assert [change.partition(" ALTER COLUMN ")[2] for change in changes] == [
        f'"a" TYPE date USING {using}'
    ]
    assert notes == ["t.a becomes date; it was text"]
    written = agree(drift, "sync_all_columns", replaces=replaces).columns
    assert [column.type for column in written] == ["date"]


@pytest.mark.parametrize(
    ("replaces", "dropped", "note"),
    [
        (
            True,
            ['ALTER TABLE "public"."t" DROP COLUMN "a"'],
            "t.a is dropped: the rows have no such column",
        ),
        (False, [], "t.a stays, and is left empty in new rows"),
    ],
)
def test_a_column_that_the_rows_lack_goes_only_where_every_row_is_new(replaces, dropped, note):
    drift = differences([ID, A], [ID])

    _, changes, _, notes = outcome(drift, "sync_all_columns", replaces=replaces)

    assert (changes, notes) == (dropped, [note])


def test_what_fills_itself_and_what_headrace_keeps_is_never_missed():
    itself = [
        Column("d", "integer", not_null=True, has_default=True),
        Column("g", "integer", not_null=True, generated=True),
        Column("i", "integer", not_null=True, identity="a"),
        Column("_loaded_at", "date", not_null=True),
        Column("valid_from", "date", not_null=True),
    ]
    drift = differences([A, *itself], [A])

    assert outcome(drift, "fail") == (["a"], [], False, [])
    assert [column.name for column in drift.droppable] == ["d"]
    assert outcome(drift, "recreate", replaces=True)[2] is True
    without = differences([A, *itself[1:]], [A])
    assert outcome(without, "recreate", replaces=True)[2] is False


def test_only_ignore_loses_what_others_have_filled_in():
    drift = differences([ID, A], [ID])

    assert [column.name for column in agree(drift, "fail", replaces=True).others] == ["a"]
    assert agree(drift, "ignore", replaces=True).lose is True
    assert agree(drift, "fail", replaces=True).lose is False
    added = agree(drift, "append_new_columns", replaces=True)
    assert (added.lose, [column.name for column in added.others]) == (False, ["a"])


def test_a_table_that_has_none_of_the_columns_may_get_them():
    assert outcome(differences([A], [NEW]), "append_new_columns")[0] == ["new"]


@pytest.mark.parametrize(
    "name", ["_deleted_at", "_loaded_at", "_file", "_line", "_run_id", "valid_from", "valid_to"]
)
def test_a_column_that_we_keep_beside_the_rows_is_neither_missed_nor_dropped(name: str):
    ours = Column(name, "text", not_null=True)
    drift = differences([ID, ours, Column("theirs", "text", not_null=True)], [ID])

    assert [column.name for column in drift.unfilled] == ["theirs"]
    assert [column.name for column in drift.droppable] == ["theirs"]
