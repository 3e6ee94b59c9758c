"""What is made of names, defaults and columns that PostgreSQL's catalog has."""

import re
from typing import Any

import pytest

from headrace.errors import InvalidPayload, JobFailure, RefusedSql
from headrace.jobs.shell_command import _how_it_ended
from headrace.jobs.statements.user_sql import only_read
from headrace.jobs.tables import archive_limits, index_state
from headrace.jobs.tables.archive_moving import Branch, children_of
from headrace.jobs.tables.table_catalog import Column, Table, named, with_article, written_column
from headrace.jobs.tables.type_inference import _PATTERNS
from headrace.jobs.tables.view_storage import _changed, _is_appended, refuse_policy
from headrace.template import RenderedSql


@pytest.mark.parametrize(
    ("default", "constant"),
    [
        (None, None),
        ("'a'::text", "'a'"),
        ("'it''s'::character varying(9)", "'it''s'"),
        ("'{}'::integer[]", "'{}'"),
        ("""'x'::public."My Kind\"""", "'x'"),
        ("5", "5"),
        ("'-5'::integer", "'-5'"),
        ("-5", "-5"),
        ("1.50::numeric(9,2)", "1.50"),
        ("true", "true"),
        ("false", "false"),
        ("now()", None),
        ("nextval('s'::regclass)", None),
        ("('now'::text)::date", None),
        ("('a'::text || 'b'::text)", None),
        ("'a'::text || 'b'::text", None),
        (r"'a\'::text", None),
        ("CURRENT_DATE", None),
    ],
)
def test_a_default_is_a_constant_or_is_calculated(
    default: str | None, constant: str | None
) -> None:
    assert Column("c", "text", default=default).constant == constant


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        ({}, True),
        ({"not_null": True}, False),
        ({"not_null": True, "has_default": True}, True),
        ({"not_null": True, "generated": True}, True),
        ({"not_null": True, "identity": "a"}, True),
        ({"not_null": True, "identity": "d"}, True),
    ],
)
def test_a_column_needs_a_value_or_is_filled_by_itself(given: Any, filled: bool) -> None:
    assert Column("c", "int", **given).filled_by_itself is filled


def test_a_column_is_declared_with_its_collation() -> None:
    assert Column('a"b', "text").declared == '"a""b" text'
    assert Column("a", "text", collation='pg_catalog."C"').declared == (
        '"a" text COLLATE pg_catalog."C"'
    )


def test_each_kind_of_relation_has_its_word() -> None:
    def word(kind: str) -> str:
        table = Table(
            "t", 1, "s", "t", kind, "r", readable=True, filtered=False, referenced=False,
            sifted=False, heirs=None, comment=None,
            columns=(Column("a", "int", in_key=True), Column("b", "int")),
        )  # fmt: skip
        assert table.primary_key == ["a"]
        return with_article(table.what)

    assert {kind: word(kind) for kind in "rpvmfSiIct?"} == {
        "r": "a table",
        "p": "a partitioned table",
        "v": "a view",
        "m": "a materialized view",
        "f": "a foreign table",
        "S": "a sequence",
        "i": "an index",
        "I": "an index",
        "c": "a type",
        "t": "a TOAST table",
        "?": "a table",
    }


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a", '"a"'),
        ("t.a", '"t"."a"'),
        ("Order ID", '"Order ID"'),
        ("Amount (€)", '"Amount (€)"'),
        ('"a.b"', '"a.b"'),
        ("a.b c", None),
        ("a; drop", None),
        ("a'b", None),
        ("", None),
    ],
)
def test_a_column_is_written_as_it_is_called(name: str, written: str | None) -> None:
    if written is None:
        with pytest.raises(RefusedSql):
            written_column(name)
    else:
        assert written_column(name).display == written


def test_columns_are_named_once_and_as_they_are_called() -> None:
    columns = [Column("a", "int"), Column("B c", "int"), Column('"q"', "int")]

    assert named(columns, ['"B c"', "a", '"q"'], "t") == [columns[1], columns[0], columns[2]]
    for wanted, told in (
        (["z"], "t has no column 'z'; it has: a, B c, \"q\""),
        (["a", '"a"'], "the column '\"a\"' occurs twice"),
    ):
        with pytest.raises(JobFailure) as refused:
            named(columns, wanted, "t")
        assert str(refused.value) == told


A, B, C = Column("a", "int"), Column("b", "text"), Column("c", "date")


@pytest.mark.parametrize(
    ("new", "old", "told", "appended"),
    [
        ((A, B), (A, B), "", True),
        ((A, B, C), (A, B), "c (date) is new", True),
        ((A, C, B), (A, B), "c (date) is new", False),
        ((A,), (A, B), "b is missing", False),
        ((B, A), (A, B), "their order", False),
        ((Column("a", "bigint"), C), (A, B),
         'c (date) is new; b is missing; a is "a" bigint, and was "a" int', False),
    ],
)  # fmt: skip
def test_a_view_tells_how_its_columns_change(
    new: tuple[Column, ...], old: tuple[Column, ...], told: str, appended: bool
) -> None:
    assert (_changed(new, old), _is_appended(new, old)) == (told, appended)


def test_a_view_follows_the_changes_that_it_can() -> None:
    policies = ["ignore", "fail", "append_new_columns", "sync_all_columns", "recreate"]
    taken = {
        "table": policies,
        "view": ["fail", "append_new_columns", "recreate"],
        "materialized_view": ["fail", "recreate"],
    }
    words = {"view": "a view", "materialized_view": "a materialized view"}
    for kind, known in taken.items():
        for policy in policies:
            if policy in known:
                refuse_policy(kind, policy)  # type: ignore[arg-type]
                continue
            with pytest.raises(InvalidPayload) as refused:
                refuse_policy(kind, policy)  # type: ignore[arg-type]
            assert str(refused.value) == (
                f"on_schema_change of {words[kind]} is one of {', '.join(known)}, not {policy}"
            )


def test_children_go_to_the_schema_of_the_archive_under_their_own_names() -> None:
    given = {
        "shop.line": {"key": "order_id", "children": {"shop.note": "line_id"}},
        "Other": "order_id",
    }
    rows = "headrace_picked_rows"

    assert children_of(given, "old.orders") == [
        Branch(
            "shop.line",
            '"old"."line"',
            f"{rows}_0",
            "order_id",
            (Branch("shop.note", '"old"."note"', f"{rows}_0_0", "line_id"),),
        ),
        Branch("Other", '"old"."Other"', f"{rows}_1", "order_id"),
    ]
    assert children_of({"a": "b"}, "orders") == [Branch("a", '"a"', f"{rows}_0", "b")]
    assert children_of(None, "orders") == []
    wrong: list[Any] = [None, 5, {"children": {}}, {"key": "a", "child": {}}]
    for said in wrong:
        with pytest.raises(InvalidPayload) as refused:
            children_of({"a": said}, "orders")
        assert str(refused.value) == (
            "children: a takes the column that refers to the table above, or a mapping {key: "
            "order_id, children: {…}}"
        )


@pytest.mark.parametrize(
    ("limits", "more", "told"),
    [
        ((0, None, None), False, "limit must be at least 1, not 0"),
        ((None, 0, None), False, "batch_size must be at least 1, not 0"),
        ((None, 1, 0), False, "batch_limit must be at least 1, not 0"),
        ((1, 1, None), False, "limit and batch_size do not go together: use batch_limit"),
        ((None, None, 1), False, "wait, batch_limit and vacuum need batch_size"),
        ((1, None, None), True, "wait, batch_limit and vacuum need batch_size"),
        ((1, None, None), False, None),
        ((None, 1, 1), True, None),
        ((None, None, None), False, None),
    ],
)
def test_the_limits_of_an_archive_go_together(limits: Any, more: bool, told: str | None) -> None:
    if told is None:
        archive_limits.refuse_limits(*limits, more=more)
        return
    with pytest.raises(InvalidPayload) as refused:
        archive_limits.refuse_limits(*limits, more=more)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    ("statement", "reads"),
    [
        ("SELECT 1", True),
        ("VALUES (1)", True),
        ("TABLE t", True),
        ("WITH a AS (SELECT 1) SELECT * FROM a", True),
        ("SELECT 'insert'", True),
        ("SELECT 1 INTO t", False),
        ("WITH a AS (INSERT INTO t VALUES (1) RETURNING 1) TABLE a", False),
        ("WITH a AS (UPDATE t SET a = 1 RETURNING 1) TABLE a", False),
        ("WITH a AS (DELETE FROM t RETURNING 1) TABLE a", False),
        ("WITH a AS (MERGE INTO t USING u ON true) SELECT 1", False),
        ("INSERT INTO t VALUES (1)", False),
        ("EXPLAIN SELECT 1", False),
    ],
)
def test_a_statement_reads_or_writes(statement: str, reads: bool) -> None:
    one, other = RenderedSql(statement, {}), RenderedSql("SELECT 2", {})

    assert only_read([one]) is reads
    assert only_read([other, one]) is reads


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS By_Name ON t (a)", "by_name"),
        ('create unique index\nconcurrently if not exists "By ""x" ON t (a)', 'By "x'),
        ("-- why\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", "i"),
        ("CREATE INDEX CONCURRENTLY i ON t (a)", None),
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", None),
        ("SELECT 'CREATE INDEX CONCURRENTLY IF NOT EXISTS i'", None),
    ],
)
def test_an_index_that_if_not_exists_passes_over_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, statement: str, name: str | None
) -> None:
    asked: list[Any] = []

    class Answer:
        def scalar(self) -> str:
            return "s.found"

    def execute(_connection: object, sql: RenderedSql) -> Answer:
        asked.extend(sql.binds.values())
        return Answer()

    monkeypatch.setattr(index_state, "execute", execute)
    connection: Any = object()
    if name is None:
        index_state.refuse_half_built(connection, RenderedSql(statement, {}))
        assert asked == []
        return
    with pytest.raises(JobFailure) as refused:
        index_state.refuse_half_built(connection, RenderedSql(statement, {}))

    assert asked == [name]
    assert str(refused.value) == (
        "the index s.found is invalid: an earlier attempt to build it was stopped, and IF NOT "
        "EXISTS passes over it; run DROP INDEX CONCURRENTLY s.found first"
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (1, "ended with exit code 1"),
        (128, "ended with exit code 128"),
        (129, "ended with exit code 129 (a program in it was ended by SIGHUP)"),
        (137, "ended with exit code 137 (a program in it was ended by SIGKILL)"),
        (255, "ended with exit code 255"),
        (-9, "was ended by SIGKILL"),
        (-999, "was ended by signal 999"),
    ],
)
def test_how_a_program_ended_is_told(code: int, told: str) -> None:
    assert _how_it_ended(code) == told


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("True", ["boolean"]),
        ("f", ["boolean"]),
        ("TRUe", []),
        ("0", ["bigint", "numeric", "double precision"]),
        ("-12", ["bigint", "numeric", "double precision"]),
        ("9" * 18, ["bigint", "numeric", "double precision"]),
        ("1" + "0" * 18, ["numeric", "double precision"]),
        ("007", []),
        ("1.50", ["numeric", "double precision"]),
        ("1.", []),
        ("1.5e-7", ["double precision"]),
        ("2E5", ["double precision"]),
        ("2026-01-31", ["date"]),
        ("2026-1-31", []),
        ("2026-01-31 12:00", ["timestamp"]),
        ("2026-01-31T12:00:01.123456", ["timestamp"]),
        ("2026-01-31T12:00:01.1234567", []),
        ("2026-01-31 12:00Z", ["timestamptz"]),
        ("2026-01-31 12:00:00+02", ["timestamptz"]),
        ("2026-01-31 12:00:00.5-02:30", ["timestamptz"]),
        ("2026-01-31 12:00:00-0230", ["timestamptz"]),
        ("0B8A8F3A-1d4c-4a3a-9f4e-0123456789ab", ["uuid"]),
        ("0b8a8f3a1d4c4a3a9f4e0123456789ab", []),
        (" 1", []),
    ],
)
def test_a_text_looks_like_a_type(text: str, types: list[str]) -> None:
    assert [kind for kind, pattern in _PATTERNS if re.search(pattern, text)] == types
