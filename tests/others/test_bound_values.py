"""Values of templates in statements for SQLite, MariaDB and DuckDB."""

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from headrace.errors import RefusedSql
from headrace.jobs.run_sql import RunSql
from headrace.model.connection import NamedConnection
from headrace.store.others.mysql_line import MysqlLine
from headrace.store.others.sqlite_line import SqliteLine
from headrace.template.guard import JobGuard
from tests.others.conftest import Place, Places, Runs

ID = UUID("01a21c70-6010-7c50-9d52-4b1beaf114a8")
IN_BERLIN = datetime(2026, 7, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.fixture
def in_sqlite() -> SqliteLine:
    return SqliteLine("there", NamedConnection("sqlite:///x.db"), JobGuard(), None)


def in_mysql() -> MysqlLine:
    return MysqlLine("there", NamedConnection("mysql://h/d"), JobGuard(), None)


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (Decimal("7"), 7),
        (Decimal("7.0"), 7),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (Decimal(2**63), "9223372036854775808"),
        (10**19, 1e19),
        (Decimal("-0.1"), -0.1),
        (Decimal("0.1000000000000000055511151231257827"), "0.1000000000000000055511151231257827"),
        (Decimal("NaN"), "NaN"),
        (Decimal("Infinity"), "Infinity"),
        (IN_BERLIN, "2026-07-01 01:30:00+02:00"),
        (date(2026, 7, 1), "2026-07-01"),
        (time(1, 30), "01:30:00"),
        (ID, str(ID)),
        (True, True),
        (0.5, 0.5),
        ("it's", "it's"),
        (b"\x00\xff", b"\x00\xff"),
        (None, None),
    ],
)
def test_what_sqlite_gets_for_a_value(in_sqlite: SqliteLine, value: Any, bound: Any) -> None:
    found = in_sqlite.bound(value)

    assert (type(found), found) == (type(bound), bound)


def test_what_sqlite_has_no_value_for_is_refused_with_what_to_write(in_sqlite: SqliteLine) -> None:
    with pytest.raises(RefusedSql, match=r"^SQLite has no lists: write one with \| inlist$"):
        in_sqlite.bound([1, 2])
    with pytest.raises(RefusedSql) as told:
        in_sqlite.bound(timedelta(hours=1))
    assert str(told.value) == ("SQLite has no value for a timedelta: give it as a text or a number")


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (IN_BERLIN, datetime(2026, 6, 30, 23, 30)),
        (datetime(2026, 7, 1, 1, 30), datetime(2026, 7, 1, 1, 30)),
        (date(2026, 7, 1), date(2026, 7, 1)),
        (ID, str(ID)),
        (Decimal("1.50"), Decimal("1.50")),
    ],
)
def test_what_mysql_gets_for_a_value(value: Any, bound: Any) -> None:
    assert in_mysql().bound(value) == bound


def test_mysql_has_no_lists() -> None:
    with pytest.raises(RefusedSql, match=r"^MySQL has no lists: write one with \| inlist$"):
        in_mysql().bound((1, 2))


@pytest.mark.parametrize("value", [12345678901234567890, 0.1, -7])
def test_numbers_come_back_as_they_were_given(run: Runs, there: Place, value: float) -> None:
    there.query("create table t (id int)")

    done = run.done(
        RunSql, sql="select {{ params.v }} as v", params={"v": value}, connection="there"
    )

    # A number with more digits than one of SQLite's has is a text there.
    assert Decimal(str(done["rows"][0]["v"])) == Decimal(str(value))


def test_a_list_for_a_database_without_lists_is_refused(run: Runs, places: Places) -> None:
    for kind, product in {"sqlite": "SQLite", "mysql": "MySQL"}.items():
        place = places(kind)
        place.query("create table t (id int)")
        run.connections["there"] = place.url
        sql = "select id from t where id = {{ params.ids }}"

        told = run.failed(RunSql, sql=sql, params={"ids": [1]}, connection="there")

        assert told == f"{product} has no lists: write one with | inlist"
        listed = sql.replace("= {{ params.ids }}", "in ({{ params.ids | inlist }})")
        assert run.done(RunSql, sql=listed, params={"ids": [1]}, connection="there")
