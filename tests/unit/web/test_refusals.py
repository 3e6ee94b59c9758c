"""A flood of refusals costs a few rows a minute, and loses no count."""

from typing import Any

import pytest

from headrace.engine.access.refusals import Refusals
from headrace.errors import StoreUnavailable
from headrace.model.caller import Deed, Role, Via


class Table:
    """Rows by their bucket, as the table has them."""

    def __init__(self) -> None:
        self.rows_of: dict[str, dict[str, Any]] = {}
        self.writes = 0
        self.away = False
        self.refused = ""

    def rows(self, statement: str, **values: Any) -> list[Any]:
        assert statement == "count_refusals"
        if self.away:
            raise StoreUnavailable("away")
        if values["address"] == self.refused:
            raise RuntimeError("the disk is full")
        self.writes += 1
        known = self.rows_of.setdefault(values["bucket"], {**values, "count": 0})
        known["count"] += values["count"]
        return []

    @property
    def shown(self) -> list[dict[str, Any]]:
        return list(self.rows_of.values())


class Clock:
    def __init__(self) -> None:
        self.now = 6000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def refusals(table: Table, clock: Clock) -> Refusals:
    return Refusals(table, clock)  # type: ignore[arg-type]


def stranger(address: str = "192.0.2.1", path: str = "/jobs") -> Deed:
    return Deed("unknown", Via.NOBODY, None, "read", path, address)


def known(path: str) -> Deed:
    return Deed("vera", Via.TOKEN, Role.VIEWER, "cancel", path, "192.0.2.1")


def note(refusals: Refusals, deed: Deed, status: int = 401) -> None:
    if refusals.note(deed, status):
        refusals.write()


def test_a_million_guesses_from_one_address_are_a_row_a_minute_and_a_write_a_second(
    refusals: Refusals, table: Table, clock: Clock
):
    for number in range(10_000):
        clock.now += 0.001
        note(refusals, stranger(path=f"/jobs/{number}"))
    refusals.write()

    (row,) = table.shown
    assert row["count"] == 10_000
    assert row["path"] == "/jobs/0"
    assert table.writes <= 12


def test_another_minute_is_another_row(refusals: Refusals, table: Table, clock: Clock):
    for _ in range(3):
        note(refusals, stranger())
        clock.now += 60

    assert [row["count"] for row in table.shown] == [1, 1, 1]


def test_guesses_from_very_many_addresses_are_one_row_beyond_the_first_twenty(
    refusals: Refusals, table: Table
):
    for number in range(5000):
        note(refusals, stranger(f"198.51.{number // 250}.{number % 250}"))
    refusals.write()

    assert len(table.shown) == 21
    assert table.shown[-1]["address"] == "*"
    assert sum(row["count"] for row in table.shown) == 5000
    note(refusals, stranger("198.51.0.0"))
    refusals.write()
    assert (table.shown[0]["address"], table.shown[0]["count"]) == ("198.51.0.0", 2)
    assert table.shown[-1]["count"] == 4980


def test_strangers_take_no_row_away_from_a_known_caller(refusals: Refusals, table: Table):
    for number in range(100):
        note(refusals, stranger(f"198.51.100.{number}"))
    note(refusals, known("/jobs/1/cancel"), 403)

    assert table.shown[-1]["path"] == "/jobs/1/cancel"


def test_a_known_caller_fills_no_disk_either(refusals: Refusals, table: Table):
    for number in range(1000):
        note(refusals, known(f"/jobs/{number}/cancel"), 403)
    refusals.write()

    assert len(table.shown) == 101
    assert (table.shown[-1]["actor"], table.shown[-1]["path"]) == ("vera", "*")
    assert sum(row["count"] for row in table.shown) == 1000


def test_what_cannot_be_written_is_written_later(refusals: Refusals, table: Table, clock: Clock):
    table.away = True
    for _ in range(50):
        note(refusals, stranger())
        note(refusals, stranger("192.0.2.2"))
    clock.now += 120
    refusals.write()
    assert refusals.pending

    table.away = False
    refusals.write()

    assert [row["count"] for row in table.shown] == [50, 50]
    assert not refusals.pending


def test_a_row_that_is_refused_keeps_no_other_back_and_is_counted_on(
    refusals: Refusals, table: Table, clock: Clock
):
    addresses = [f"192.0.2.{number}" for number in (1, 2, 3)]
    table.refused = addresses[1]
    for address in addresses * 3:
        refusals.note(stranger(address), 401)
    with pytest.raises(RuntimeError, match="the disk is full"):
        refusals.write()
    assert [(row["address"], row["count"]) for row in table.shown] == [
        ("192.0.2.1", 3), ("192.0.2.3", 3),
    ]  # fmt: skip
    refusals.note(stranger(addresses[1]), 401)
    clock.now += 120
    assert refusals.pending

    table.refused = ""
    refusals.write()

    assert {row["address"]: row["count"] for row in table.shown} == {
        "192.0.2.1": 3, "192.0.2.2": 4, "192.0.2.3": 3,
    }  # fmt: skip
    assert not refusals.pending


def test_hours_without_postgresql_fill_no_memory(refusals: Refusals, table: Table, clock: Clock):
    table.away = True
    for number in range(105):
        clock.now += 60
        for address in range(21):
            refusals.note(stranger(f"198.51.{number}.{address}"), 401)
    table.away = False
    refusals.write()

    # Beyond two thousand kinds there is one a minute.
    assert 2000 <= len(table.shown) < 2105
    assert sum(row["count"] for row in table.shown) == 105 * 21


def test_what_is_written_is_forgotten_with_its_minute(
    refusals: Refusals, table: Table, clock: Clock
):
    for _ in range(3):
        for address in range(25):
            note(refusals, stranger(f"198.51.100.{address}"))
        refusals.write()
        clock.now += 60

    # Each minute has places for twenty addresses of its own.
    assert sum(row["address"] == "*" for row in table.shown) == 3
    assert len(table.shown) == 63
    refusals.write()
    assert refusals._counted == {}


def test_a_clock_that_is_set_back_keeps_no_refusal_back(
    refusals: Refusals, clock: Clock, caplog: pytest.LogCaptureFixture
):
    clock.now += 30
    assert refusals.note(stranger(), 401)
    clock.now += 0.5
    assert not refusals.note(stranger(), 401)
    clock.now += 0.5
    assert refusals.note(stranger(), 401)
    clock.now -= 10
    assert refusals.note(stranger(), 401)
    # The log has the first one of a minute, with what everybody may see of it.
    told = "refused with 401: read of unknown from 192.0.2.1; more of them in this minute are only"
    assert [told in message for message in caplog.messages] == [True]


def test_a_status_and_what_a_known_caller_asked_for_are_kinds_of_their_own(
    refusals: Refusals, table: Table
):
    for deed, status in ((stranger(), 401), (stranger(), 403), (known("/a"), 403)):
        note(refusals, deed, status)
    for path in ("/a", "/b"):
        note(refusals, known(path), 403)
    refusals.write()

    assert [(row["status"], row["path"], row["count"]) for row in table.shown] == [
        (401, "/jobs", 1), (403, "/jobs", 1), (403, "/a", 2), (403, "/b", 1),
    ]  # fmt: skip
