"""Values and types between PostgreSQL and other databases: the same, or an error that says why."""

import pytest

from headrace.errors import JobFailure
from headrace.jobs.others.dialect import OtherColumn
from headrace.jobs.others.duckdb_dialect import DuckdbDialect
from headrace.jobs.others.mysql_dialect import MysqlDialect
from headrace.jobs.others.pg_types import family_of, goes_into, parts_of
from headrace.jobs.others.sqlite_dialect import SqliteDialect
from headrace.jobs.others.value_fitting import Unfit, fit_of, told

MYSQL, SQLITE, DUCKDB = MysqlDialect(), SqliteDialect(), DuckdbDialect()
PLAIN_TIME = "timestamp without time zone"
ZONED = "timestamp with time zone"
EVERYWHERE = ("mysql", "sqlite", "duckdb")
LONG = "1234567890123.123456789012345678901234567891"


@pytest.mark.parametrize(
    ("kinds", "source", "target", "text", "value"),
    [
        (("mysql", "sqlite"), "boolean", "boolean", "t", 1),
        (("mysql", "sqlite"), "boolean", "boolean", "true", 1),
        (("mysql", "sqlite"), "boolean", "boolean", "f", 0),
        (("duckdb",), "boolean", "boolean", "t", "t"),
        (("mysql", "sqlite"), "bigint", "bigint", "9223372036854775807", 2**63 - 1),
        (("mysql", "sqlite"), "bigint", "bigint", "-9223372036854775808", -(2**63)),
        (("duckdb",), "bigint", "bigint", "7", "7"),
        (("mysql", "duckdb"), "numeric", "numeric(6,2)", "1.250", "1.250"),
        (("mysql",), "numeric", "numeric(60,30)", LONG, LONG),
        (("mysql",), "numeric", "numeric(6)", "100", "100"),
        (("mysql",), "numeric", "numeric", "1.23456", "1.23456"),
        (("sqlite",), "numeric", "numeric", "1.5", 1.5),
        (("sqlite",), "numeric", "numeric", "9223372036854775807", 2**63 - 1),
        (("sqlite",), "numeric", "numeric", "-9223372036854775808", -(2**63)),
        (("sqlite",), "numeric", "numeric", "7.00", 7),
        (("mysql", "sqlite"), "double precision", "real", "0.5", 0.5),
        (("mysql", "sqlite"), "real", "real", "0.1", 0.1),
        (("mysql", "sqlite"), "double precision", "double precision", "0.1", 0.1),
        (("duckdb",), "double precision", "double precision", "Infinity", "Infinity"),
        (EVERYWHERE, "bytea", "bytea", "\\x00ff", b"\x00\xff"),
        (EVERYWHERE, "date", "date", "2026-02-03", "2026-02-03"),
        (("duckdb",), "date", "date", "-infinity", "-infinity"),
        (EVERYWHERE, "date", PLAIN_TIME, "2026-02-03", "2026-02-03"),
        (
            EVERYWHERE,
            "time without time zone",
            "time without time zone",
            "01:02:03.5",
            "01:02:03.5",
        ),
        (
            EVERYWHERE,
            "time without time zone",
            "time without time zone",
            "00:00:00",
            "00:00:00",
        ),
        (("mysql", "sqlite"), ZONED, PLAIN_TIME, "2026-02-03 01:02:03+00", "2026-02-03 01:02:03"),
        (("duckdb",), ZONED, ZONED, "2026-02-03 01:02:03+00", "2026-02-03 01:02:03+00"),
        (
            EVERYWHERE,
            PLAIN_TIME,
            "timestamp(3) without time zone",
            "2026-02-03 01:02:03.125000",
            "2026-02-03 01:02:03.125000",
        ),
        (EVERYWHERE, "text", "text", "infinity", "infinity"),
    ],
)
def test_a_value_becomes_what_the_driver_takes(kinds, source, target, text, value):
    for kind in kinds:
        found = fit_of(kind, source, target)(text)
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("kinds", "source", "target", "text", "why"),
    [
        (("mysql", "sqlite"), "numeric", "bigint", "9223372036854775808", "has no place there"),
        (("mysql", "sqlite"), "numeric", "bigint", "-9223372036854775809", "has no place there"),
        (EVERYWHERE, "numeric", "numeric", "NaN", "has no place there"),
        (EVERYWHERE, "numeric", "numeric(6,2)", "1.255", "has more than 2 digits after the point"),
        (("mysql",), "numeric", "numeric(6)", "1.5", "has more than 0 digits after the point"),
        (
            ("mysql",),
            "numeric",
            "numeric(50,20)",
            LONG,
            "has more than 20 digits after the point",
        ),
        (
            ("sqlite",),
            "numeric",
            "numeric",
            "0.12345678901234567890",
            "has more digits than SQLite",
        ),
        (("sqlite",), "numeric", "numeric", "9223372036854775809", "has more digits than SQLite"),
        (("mysql", "sqlite"), "real", "real", "Infinity", "has no place there"),
        (("mysql", "sqlite"), "double precision", "real", "NaN", "has no place there"),
        (EVERYWHERE, "double precision", "real", "0.1", "has more digits than a float of four"),
        (EVERYWHERE, "double precision", "real", "1e300", "has more digits than a float of four"),
        (("mysql", "sqlite"), "date", "date", "infinity", "has no place there"),
        (EVERYWHERE, "date", "date", "10000-01-01", "has no place there"),
        (EVERYWHERE, "date", "date", "0044-03-15 BC", "has no place there"),
        (("mysql",), "date", "date", "0044-03-15", "has no place there"),
        (("mysql",), ZONED, PLAIN_TIME, "0044-03-15 12:00:00+00", "has no place there"),
        (EVERYWHERE, "time without time zone", "time without time zone", "x", "has no place there"),
        (
            EVERYWHERE,
            PLAIN_TIME,
            "timestamp(3) without time zone",
            "2026-02-03 01:02:03.1234",
            "has more than 3 digits of a second, which timestamp without time zone does not keep",
        ),
        (
            EVERYWHERE,
            PLAIN_TIME,
            "timestamp(0) without time zone",
            "2026-02-03 01:02:03.1",
            "has more than 0 digits of a second",
        ),
    ],
)
def test_a_value_that_would_change_is_refused(kinds, source, target, text, why):
    for kind in kinds:
        with pytest.raises(Unfit) as refused:
            fit_of(kind, source, target)(text)
        assert str(refused.value).startswith(why)


def test_a_refused_value_is_told_with_its_column_and_cut():
    said = told("mysql", "c", "x" * 61, Unfit("does not fit"))
    assert str(said) == f"column c: {'x' * 59 + '…'!r} does not fit (MySQL)"
    assert str(told("sqlite", "c", "x" * 60, Unfit("is bad"))).count("x") == 60


@pytest.mark.parametrize(
    ("type_", "parts", "family"),
    [
        ("numeric(12,2)", ("numeric", 12, 2), "numeric"),
        ("character varying(9)", ("character varying", 9, None), "text"),
        ("timestamp(3) with time zone", (ZONED, 3, None), "timestamptz"),
        ("time without time zone", ("time without time zone", None, None), "time"),
        ("integer[]", ("integer[]", None, None), "other"),
        ("jsonb", ("jsonb", None, None), "json"),
    ],
)
def test_a_type_has_a_name_numbers_and_a_family(type_, parts, family):
    assert (parts_of(type_), family_of(type_)) == (parts, family)


def test_values_go_into_the_same_family_a_text_or_a_wider_type():
    lossless = [
        ("integer", "bigint"), ("bigint", "numeric(20,0)"), ("date", PLAIN_TIME),
        ("integer[]", "text"), ("json", "character varying(9)"),
    ]  # fmt: skip
    for source, target in lossless:
        assert goes_into(source, target, zones_are_lost=False)
    for source, target in [("numeric", "integer"), (PLAIN_TIME, "date"), ("text", "date")]:
        assert not goes_into(source, target, zones_are_lost=True)
    assert goes_into(ZONED, PLAIN_TIME, zones_are_lost=True)
    assert not goes_into(ZONED, PLAIN_TIME, zones_are_lost=False)
    assert not goes_into(PLAIN_TIME, ZONED, zones_are_lost=True)


READ = [
    (MYSQL, "tinyint(1)", "boolean"), (MYSQL, "bit(1)", "boolean"), (MYSQL, "bit(8)", None),
    (MYSQL, "TINYINT(4)", "smallint"), (MYSQL, "tinyint(3) unsigned", "smallint"),
    (MYSQL, "smallint(5) unsigned", "integer"), (MYSQL, "mediumint unsigned", "integer"),
    (MYSQL, "int(10) unsigned", "bigint"), (MYSQL, "bigint unsigned", "numeric(20,0)"),
    (MYSQL, "decimal(6,2)", "numeric(6,2)"), (MYSQL, "float unsigned", "real"),
    (MYSQL, "datetime", "timestamp(0) without time zone"),
    (MYSQL, "datetime(6)", "timestamp(6) without time zone"),
    (MYSQL, "timestamp(3)", "timestamp(3) with time zone"),
    (MYSQL, "time(2)", "time(2) without time zone"), (MYSQL, "year(4)", "smallint"),
    (MYSQL, "enum('a','b')", "text"), (MYSQL, "longblob", "bytea"), (MYSQL, "point", None),
    (MYSQL, "?", None),
    (SQLITE, "", "text"), (SQLITE, "BOOLEAN", "boolean"), (SQLITE, "bool", "boolean"),
    (SQLITE, "date", "date"), (SQLITE, "TIME", "time without time zone"),
    (SQLITE, "DATETIME", PLAIN_TIME), (SQLITE, "TIMESTAMP", PLAIN_TIME),
    (SQLITE, "UNSIGNED BIG INT", "bigint"), (SQLITE, "POINT", "bigint"),
    (SQLITE, "VARCHAR(9)", "text"), (SQLITE, "CLOB", "text"), (SQLITE, "text", "text"),
    (SQLITE, "BLOB", "bytea"), (SQLITE, "REAL", "double precision"),
    (SQLITE, "FLOAT", "double precision"), (SQLITE, "DOUBLE PRECISION", "double precision"),
    (SQLITE, "DECIMAL(10, 5)", "numeric(10,5)"), (SQLITE, "NUMERIC(7)", "numeric(7,0)"),
    (SQLITE, "NUMERIC", "numeric"), (SQLITE, "STRING", "numeric"), (SQLITE, "A-B", "numeric"),
    (DUCKDB, "DECIMAL(18,3)", "numeric(18,3)"), (DUCKDB, "ENUM('a', 'b')", "text"),
    (DUCKDB, "INTEGER[]", "json"), (DUCKDB, "INTEGER[3]", "json"),
    (DUCKDB, "STRUCT(a INTEGER)", "json"), (DUCKDB, "MAP(VARCHAR, INTEGER)", "json"),
    (DUCKDB, "UNION(a INTEGER)", "json"), (DUCKDB, "UINTEGER", "bigint"),
    (DUCKDB, "TIMESTAMP_NS", None), (DUCKDB, "BIT", None),
    *((MYSQL, name, "text") for name in ("char(3)", "varchar(9)", "tinytext", "text", "mediumtext",
                                         "longtext", "set('a')", "inet4", "inet6")),
    *((MYSQL, name, "bytea") for name in ("binary(3)", "varbinary(9)", "tinyblob", "blob",
                                          "mediumblob")),
    (MYSQL, "smallint", "smallint"), (MYSQL, "mediumint", "integer"), (MYSQL, "int", "integer"),
    (MYSQL, "bigint", "bigint"), (MYSQL, "double", "double precision"), (MYSQL, "date", "date"),
    (MYSQL, "json", "json"), (MYSQL, "uuid", "uuid"),
    (DUCKDB, "BOOLEAN", "boolean"), (DUCKDB, "TINYINT", "smallint"),
    (DUCKDB, "SMALLINT", "smallint"), (DUCKDB, "INTEGER", "integer"), (DUCKDB, "BIGINT", "bigint"),
    (DUCKDB, "HUGEINT", "numeric(39,0)"), (DUCKDB, "UHUGEINT", "numeric(39,0)"),
    (DUCKDB, "UTINYINT", "smallint"), (DUCKDB, "USMALLINT", "integer"),
    (DUCKDB, "UBIGINT", "numeric(20,0)"), (DUCKDB, "FLOAT", "real"),
    (DUCKDB, "DOUBLE", "double precision"), (DUCKDB, "VARCHAR", "text"), (DUCKDB, "BLOB", "bytea"),
    (DUCKDB, "DATE", "date"), (DUCKDB, "TIME", "time without time zone"),
    (DUCKDB, "TIMESTAMP", PLAIN_TIME), (DUCKDB, "TIMESTAMP_S", "timestamp(0) without time zone"),
    (DUCKDB, "TIMESTAMP_MS", "timestamp(3) without time zone"),
    (DUCKDB, "TIMESTAMP WITH TIME ZONE", ZONED), (DUCKDB, "INTERVAL", "interval"),
    (DUCKDB, "UUID", "uuid"), (DUCKDB, "JSON", "json"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "native", "type_"), READ)
def test_a_declared_type_is_read_as_one_of_postgresqls(dialect, native, type_):
    assert dialect.read_as(native) == type_


BIN = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
MADE = [
    (MYSQL, "bigint", False, "BIGINT"), (MYSQL, "real", False, "FLOAT"),
    (MYSQL, "numeric", False, "DECIMAL(65,30)"), (MYSQL, "numeric(6,2)", False, "DECIMAL(6,2)"),
    (MYSQL, "numeric(65)", False, "DECIMAL(65,0)"),
    (MYSQL, "numeric(65,30)", False, "DECIMAL(65,30)"),
    (MYSQL, "character varying(9)", False, f"VARCHAR(9) {BIN}"),
    (MYSQL, "character varying(16383)", True, f"VARCHAR(16383) {BIN}"),
    (MYSQL, "character varying(16384)", False, f"LONGTEXT {BIN}"),
    (MYSQL, "text", True, f"VARCHAR(255) {BIN}"), (MYSQL, "text", False, f"LONGTEXT {BIN}"),
    (MYSQL, "uuid", True, f"CHAR(36) {BIN}"), (MYSQL, "boolean", False, "TINYINT(1)"),
    (MYSQL, ZONED, False, "DATETIME(6)"), (MYSQL, "integer[]", False, f"LONGTEXT {BIN}"),
    (SQLITE, "numeric", False, "NUMERIC"), (SQLITE, "numeric(6)", False, "NUMERIC(6,0)"),
    (SQLITE, "character varying(9)", True, "VARCHAR(9)"), (SQLITE, "text", True, "TEXT"),
    (SQLITE, "double precision", False, "DOUBLE PRECISION"), (SQLITE, "uuid", False, "TEXT"),
    (DUCKDB, "numeric", False, "DECIMAL(38,12)"), (DUCKDB, "numeric(38)", False, "DECIMAL(38,0)"),
    (DUCKDB, "numeric(9,2)", False, "DECIMAL(9,2)"), (DUCKDB, "integer", False, "INTEGER"),
    (DUCKDB, "jsonb", False, "JSON"), (DUCKDB, "integer[]", False, "VARCHAR"),
    (DUCKDB, ZONED, False, "TIMESTAMPTZ"),
    (MYSQL, "smallint", True, "SMALLINT"), (MYSQL, "integer", True, "INT"),
    (MYSQL, "double precision", False, "DOUBLE"), (MYSQL, "bytea", False, "LONGBLOB"),
    (MYSQL, "date", True, "DATE"), (MYSQL, "time without time zone", False, "TIME(6)"),
    (MYSQL, PLAIN_TIME, False, "DATETIME(6)"),
    (SQLITE, "boolean", False, "BOOLEAN"), (SQLITE, "smallint", False, "BIGINT"),
    (SQLITE, "bytea", False, "BLOB"), (SQLITE, "date", False, "DATE"),
    (SQLITE, "time without time zone", False, "TIME"), (SQLITE, PLAIN_TIME, False, "TIMESTAMP"),
    (SQLITE, ZONED, False, "TIMESTAMP"),
    (DUCKDB, "smallint", False, "SMALLINT"), (DUCKDB, "bigint", False, "BIGINT"),
    (DUCKDB, "real", False, "FLOAT"), (DUCKDB, "double precision", False, "DOUBLE"),
    (DUCKDB, "boolean", False, "BOOLEAN"), (DUCKDB, "bytea", False, "BLOB"),
    (DUCKDB, "date", False, "DATE"), (DUCKDB, "time without time zone", False, "TIME"),
    (DUCKDB, PLAIN_TIME, False, "TIMESTAMP"), (DUCKDB, "interval", False, "INTERVAL"),
    (DUCKDB, "uuid", False, "UUID"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "type_", "in_key", "native"), MADE)
def test_a_column_that_is_made_takes_postgresqls_values(dialect, type_, in_key, native):
    assert dialect.made_as(type_, in_key=in_key) == native


@pytest.mark.parametrize(
    ("dialect", "type_", "why"),
    [
        (MYSQL, "numeric(66)", "MySQL has no numeric(66): at most DECIMAL(65,30)"),
        (MYSQL, "numeric(65,31)", "MySQL has no numeric(65,31): at most DECIMAL(65,30)"),
        (DUCKDB, "numeric(39)", "DuckDB has no numeric(39): at most DECIMAL(38)"),
    ],
)
def test_a_number_with_more_digits_than_there_are_is_refused(dialect, type_, why):
    with pytest.raises(JobFailure) as refused:
        dialect.made_as(type_, in_key=False)

    assert str(refused.value) == why


def column(type_: str | None, native: str = "") -> OtherColumn:
    return OtherColumn("c", native, type_)


@pytest.mark.parametrize(
    ("dialect", "of", "read", "value", "text"),
    [
        (MYSQL, column("bytea"), 'HEX("c")', "00FF", "\\x00FF"),
        (MYSQL, column("boolean"), '"c" + 0', 1, "t"),
        (MYSQL, column("boolean"), '"c" + 0', 0, "f"),
        (MYSQL, column("real"), 'CAST("c" + 0e0 AS CHAR)', "0.1", "0.1"),
        (
            MYSQL,
            column(ZONED),
            'CAST("c" AS CHAR)',
            "2026-01-01 00:00:00",
            "2026-01-01 00:00:00+00",
        ),
        (MYSQL, column(None), 'CAST("c" AS CHAR)', 7, "7"),
        (SQLITE, column("bytea"), '"c"', b"\x00\xff", "\\x00ff"),
        (SQLITE, column("numeric"), '"c"', 0.1, "0.1"),
        (SQLITE, column("date"), '"c"', "2026-01-01", "2026-01-01"),
        (SQLITE, column(None), '"c"', 7, "7"),
        (DUCKDB, column("bytea"), 'hex("c")', "00FF", "\\x00FF"),
        (DUCKDB, column("json", "INTEGER[]"), 'CAST(to_json("c") AS VARCHAR)', "[1]", "[1]"),
        (DUCKDB, column("date"), 'CAST("c" AS VARCHAR)', "0044-03-15 (BC)", "0044-03-15 BC"),
        *(
            (
                DUCKDB,
                column(kind),
                'CAST("c" AS VARCHAR)',
                "0044-03-15 (BC) 12:00:00",
                "0044-03-15 BC 12:00:00",
            )
            for kind in (PLAIN_TIME, ZONED)
        ),
        (DUCKDB, column("text"), 'CAST("c" AS VARCHAR)', "a (BC)", "a (BC)"),
        (DUCKDB, column(None), 'CAST("c" AS VARCHAR)', 7, "7"),
    ],
)
def test_a_value_is_read_as_postgresql_writes_it(dialect, of, read, value, text):
    assert dialect.selected(of) == read
    assert dialect.text_of(of)(value) == text


@pytest.mark.parametrize(
    ("dialect", "type_", "value", "why"),
    [
        (MYSQL, "boolean", 2, "column c: 2 is no boolean, as TINYINT(1) is read"),
        (SQLITE, "text", b"a", "column c: a BLOB is no text"),
        (SQLITE, "bytea", "a", "column c: 'a' is no BLOB"),
        (SQLITE, "date", 7, "column c: 7 is no date but a number"),
    ],
)
def test_a_value_that_is_not_what_its_column_says_is_refused(dialect, type_, value, why):
    with pytest.raises(JobFailure) as refused:
        dialect.text_of(column(type_))(value)

    assert str(refused.value).startswith(why)


def test_only_texts_are_compared_as_bytes():
    columns = [column("text"), column("integer"), column(None)]
    assert MYSQL.any_differs(columns) == (
        'NOT (CAST(t."c" AS BINARY) <=> CAST(s."c" AS BINARY))'
        ' OR NOT (t."c" <=> s."c") OR NOT (t."c" <=> s."c")'
    )


def test_only_duckdb_has_times_with_a_zone():
    assert (MYSQL.zones_are_lost, SQLITE.zones_are_lost) == (True, True)
    assert not DUCKDB.zones_are_lost
