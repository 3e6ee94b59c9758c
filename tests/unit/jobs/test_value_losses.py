"""Which casts can lose a value: those are looked at, and the others cost nothing."""

import pytest

from headrace.jobs.tables.archive_losses import _holds
from headrace.jobs.tables.schema_drift import Pair
from headrace.jobs.tables.table_catalog import Column
from headrace.jobs.tables.value_losses import Loss, _lost, _may_lose, cast_of

ZONED, PLAIN = "timestamp with time zone", "timestamp without time zone"
TIME, ZONED_TIME = "time without time zone", "time with time zone"


def pair(given: str, own: str) -> Pair:
    return Pair(Column("c", given), Column("c", own))


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ("bigint", "integer"), ("integer", "smallint"), ("numeric", "bigint"),
        ("integer", "numeric(3)"), ("numeric(9,4)", "numeric(9,2)"), ("numeric", "numeric(9,2)"),
        ("double precision", "real"), ("real", "double precision"), ("double precision", "integer"),
        ("integer", "real"), ("numeric", "real"), ("text", "character varying(3)"),
        ("text", "character varying"), ("character varying(9)", "character varying(3)"),
        ("text", "name"), ("text", '"char"'), ("character(3)", "character varying"),
        (ZONED, PLAIN), (ZONED, "date"), (ZONED, TIME), (ZONED_TIME, TIME), (PLAIN, "date"),
        (PLAIN, "timestamp(0) without time zone"), ("date", PLAIN), ("integer", "oid"),
        ("bigint[]", "integer[]"), ("text[]", "character varying(3)[]"), (PLAIN, ZONED),
        ("interval", TIME), ("interval", "interval(0)"),
    ],
)  # fmt: skip
def test_a_cast_that_may_lose_something_is_looked_at(given, own):
    assert _may_lose(pair(given, own))


@pytest.mark.parametrize(
    ("given", "own"),
    [
        ("integer", "integer"), ("integer", "bigint"), ("smallint", "numeric"),
        ("bigint", "numeric"), ("numeric(9,2)", "numeric"), ("integer", "text"), (ZONED, "text"),
        ("character varying(9)", "text"), ("character varying(3)", "character varying"),
        ("timestamp(0) without time zone", PLAIN), ("uuid", "text"), ("uuid", "integer"),
        ("integer[]", "text"), ("text", "integer[]"), ("integer[]", "bigint[]"),
        ("jsonb", "json"), ("double precision", "double precision"),
    ],
)  # fmt: skip
def test_a_cast_that_loses_nothing_or_is_none_is_not(given, own):
    assert not _may_lose(pair(given, own))


@pytest.mark.parametrize(
    ("given", "own", "lost"),
    [
        (ZONED, PLAIN, '"c" IS NOT NULL'),
        (ZONED, "date", '"c" IS NOT NULL'),
        (ZONED_TIME, TIME, '"c" IS NOT NULL'),
        (PLAIN, "date", f'"c"::{PLAIN} IS DISTINCT FROM ("c"::date)::{PLAIN}'),
        ("bigint", "integer", '"c"::bigint IS DISTINCT FROM ("c"::integer)::bigint'),
        (
            "text",
            "character varying(3)",
            '"c"::text IS DISTINCT FROM ("c"::character varying(3))::text',
        ),
        ("character(3)", "name", '"c"::text IS DISTINCT FROM ("c"::name)::text'),
        ("text[]", "name[]", '"c"::text[] IS DISTINCT FROM ("c"::name[])::text[]'),
        (
            "double precision",
            "numeric(9,2)",
            (
                '"c"::double precision IS DISTINCT FROM'
                ' ("c"::text::numeric(9,2)::numeric(9,2))::double precision'
            ),
        ),
    ],
)
def test_a_value_is_lost_where_the_way_back_gives_another(given, own, lost):
    assert _lost(pair(given, own)) == lost


def test_a_float_keeps_all_its_digits_as_a_number():
    assert cast_of(pair("real", "numeric")) == '"c"::text::numeric'
    assert cast_of(pair("real", "text")) == '"c"'
    assert cast_of(pair("integer", "numeric")) == '"c"'


def test_a_domain_holds_what_its_base_does():
    ours = Pair(Column("c", "dom", plain="bigint", kind="d"), Column("c", "integer"))
    assert _may_lose(ours)
    enum = Pair(Column("c", "mood", plain="text", kind="e"), Column("c", "name"))
    assert not _may_lose(enum)


def test_a_lost_instant_is_no_cut_value():
    assert Loss(pair(ZONED, PLAIN), 1, "x").of_zone
    assert not Loss(pair(PLAIN, "date"), 1, "x").of_zone
    assert not Loss(pair(ZONED, "timestamp(0) with time zone"), 1, "x").of_zone
    assert not Loss(pair(ZONED, "text"), 1, "x").of_zone


def test_an_archive_holds_a_type_in_itself_a_wider_one_or_a_text_and_in_no_other():
    types = [
        "smallint", "integer", "bigint", "numeric", "numeric(9,2)", "real", "double precision",
        "date", "json", "jsonb", "text", "character varying", "character varying(3)", PLAIN,
    ]  # fmt: skip
    texts = ["text", "character varying"]
    wider = {
        "smallint": ["integer", "bigint", "numeric"],
        "integer": ["bigint", "numeric"],
        "bigint": ["numeric"],
        "numeric(9,2)": ["numeric"],
        "real": ["double precision"],
        "json": ["jsonb"],
    }

    held = {old: [new for new in types if _holds(old, new)] for old in types}

    assert held == {
        old: [new for new in types if new in (old, *texts, *wider.get(old, []))] for old in types
    }
