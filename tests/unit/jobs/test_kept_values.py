"""Which texts say more than a column keeps, by the column's type."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.errors import JobFailure
from headrace.jobs.files.kept_values import Kept, KeptRecords, kept_by

DATE, TIME = "date", "time without time zone"
PLAIN, ZONED = "timestamp without time zone", "timestamp with time zone"
POINT, CLOCK, DAY = "digits after the point", "a time of day", "a day"
SECOND, ZONE = "digits of a second", "a time zone other than UTC"


def told(type_: str, value: str) -> str | None:
    kept = kept_by(type_)
    assert kept is not None
    return kept.told(value, "R")


@pytest.mark.parametrize(
    ("type_", "value", "lost"),
    [
        ("numeric(9,2)", "1.239", f"more than 2 {POINT}"),
        ("numeric(9,2)", "-0.001", f"more than 2 {POINT}"),
        ("numeric(9,2)", ".125 ", f"more than 2 {POINT}"),
        ("numeric(9,2)", "1e-3", f"more than 2 {POINT}"),
        ("numeric(9,2)", "12.34e-1", f"more than 2 {POINT}"),
        ("numeric(9,2)", "1_000.12_5", f"more than 2 {POINT}"),
        ("numeric(9)", "1.5", f"more than 0 {POINT}"),
        ("numeric(9,0)", "0.5", f"more than 0 {POINT}"),
        ("numeric(9,-2)", "150", f"more than -2 {POINT}"),
        (DATE, "2026-01-02 12:30", CLOCK),
        (DATE, "2026-01-02T00:00:00.001", CLOCK),
        (DATE, "2026-01-02 00:00:00+02", CLOCK),
        (DATE, "2026-01-02 24:00", CLOCK),
        (DATE, "1/2/2026 12:00:00 PM", CLOCK),
        (DATE, "2026-01-02 1000", CLOCK),
        (DATE, "20260102T100000", CLOCK),
        (TIME, "2026-01-02 10:00", DAY),
        (TIME, "2.1.2026 10:00", DAY),
        (TIME, "J2460000 10:00", DAY),
        (TIME, "1/2/26 10:00", DAY),
        (TIME, "10:00-05", ZONE),
        (TIME, "10:00:00 CET", ZONE),
        (TIME, "10:00:00+01:30", ZONE),
        (TIME, "100000-05", ZONE),
        (TIME, "PST 10:00 AM", ZONE),
        (TIME, "100000.1234567", f"more than 6 {SECOND}"),
        ("time(3) without time zone", "10:00:00.0001", f"more than 3 {SECOND}"),
        (PLAIN, "2026-01-02 10:00:00+01", ZONE),
        (PLAIN, "2026-01-02 10:00-08", ZONE),
        (PLAIN, "Jan 2 10:00:00 2026 PST", ZONE),
        (PLAIN, "Fri Jan 02 10:00:00 PST 2026", ZONE),
        (PLAIN, "2026-01-02 EST 10:00:00", ZONE),
        (PLAIN, "EST 2026-01-02 1000", ZONE),
        (PLAIN, "20260102 100000+05", ZONE),
        (PLAIN, "2026-01-02T1000-08", ZONE),
        (PLAIN, "20260102T100000.1234567", f"more than 6 {SECOND}"),
        (PLAIN, "2026-01-02 10:00:00.1234567", f"more than 6 {SECOND}"),
        ("timestamp(0) without time zone", "2026-01-02 10:00:00.5", f"more than 0 {SECOND}"),
        (ZONED, "20260102 100000.1234567Z", f"more than 6 {SECOND}"),
        (ZONED, "2026-01-02 10:00:00,1234567+01", f"more than 6 {SECOND}"),
        ("timestamp(1) with time zone", "2026-01-02 10:00:00.12Z", f"more than 1 {SECOND}"),
    ],
)
def test_what_a_column_would_cut_is_told(type_, value, lost):
    assert told(type_, value) == f"{value!r} has {lost}, which the column does not keep: R"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("numeric(9,2)", "1.23"), ("numeric(9,2)", "1.2300"), ("numeric(9,2)", "12.3e-1"),
        ("numeric(9,2)", "1.2345e3"), ("numeric(9,2)", "0.000"), ("numeric(9,2)", "NaN"),
        ("numeric(9,2)", "1e5"), ("numeric(9)", "15"), ("numeric(9,-2)", "1500"),
        ("numeric(9,-2)", "0"), (DATE, "2026-01-02"), (DATE, "2026-01-02 00:00"),
        (DATE, "2026-01-02T00:00:00.000Z"), (DATE, "2026-01-02 0:00:00 +00:00"),
        (TIME, "10:00"), (TIME, "10:00:00.123456"), (TIME, "10:00 PM"), (TIME, "10:00:00Z"),
        (TIME, "10:00:00+00"), ("time(3) without time zone", "10:00:00.123000"),
        (PLAIN, "2026-01-02 10:00:00"), (PLAIN, "2026-01-02 10:00:00 utc"),
        (PLAIN, "2026-01-02 10:00:00+00:00"), (PLAIN, "Jan 2 10:00:00 2026"),
        (PLAIN, "0044-03-15 10:00:00 BC"), (PLAIN, "2026-01-02 10:00:00 AM GMT"),
        (PLAIN, "2026-01-02 10:00:00.1234560"), (ZONED, "2026-01-02 10:00:00.123456+01"),
        (ZONED, "2026-01-02 10:00:00 Europe/Berlin"), ("numeric(9,2)", "1_000.12_0"),
        (DATE, "260102"), (DATE, "Jan 2 2026"), (DATE, "1/2/2026 12:00:00 AM"),
        (DATE, "2026-01-02T00:00:00 GMT"), (DATE, "2026-01-02 000000"),
        (DATE, "20260102t0000z"), (TIME, "T100000.123456"), (TIME, "UTC 10:00"),
        (PLAIN, "260102 10:00:00"), (PLAIN, "20260102T100000.123456"),
        (PLAIN, "20260102 1000Z"), (PLAIN, "Friday, January 2, 2026 10:00:00"),
        (PLAIN, "Fri Jan 02 10:00:00 UTC 2026"), (PLAIN, "2026-sept-02 10:00 Etc/UTC"),
        (PLAIN, "on 2026-01-02 at 10:00 zulu"), (PLAIN, "J2460000 10:00"),
    ],
)  # fmt: skip
def test_what_it_keeps_as_a_whole_is_not(type_, value):
    assert told(type_, value) is None


@pytest.mark.parametrize(
    ("type_", "value"),
    [("numeric(9,2)", "x1.239"), ("numeric(9,2)", "1.239.5"), (DATE, "a:b"), (TIME, "a-b"),
     (PLAIN, "x:11 then -1"), (ZONED, "now:11.12345678")],
)  # fmt: skip
def test_what_is_no_value_of_the_type_is_left_to_postgresql(type_, value):
    assert told(type_, value) is None


@pytest.mark.parametrize(
    "type_",
    ["numeric", "integer", "text", "double precision", "time with time zones", "interval", "money",
     "date[]", "numeric(9,2)[]", "character varying(3)"],
)  # fmt: skip
def test_types_that_cut_nothing_unnoticed_are_not_looked_at(type_):
    assert kept_by(type_) is None


class Records:
    """CSV text in the pieces that are given, from line 11 of its file on."""

    refuses_short_years = False
    rows = 7

    def __init__(self, *pieces: str) -> None:
        self._pieces = [*pieces, ""]
        self.lines = SimpleNamespace(of=lambda line: line + 10)

    def read(self, _size: int) -> str:
        return self._pieces.pop(0)


def records(*pieces: str, delimiter: str = ",") -> tuple[Records, KeptRecords]:
    number = kept_by("numeric(9,2)")
    assert isinstance(number, Kept)
    under: Any = Records(*pieces)
    return under, KeptRecords(under, "a.csv", delimiter, {1: ("price", number)})


def test_the_text_of_a_file_is_passed_on_as_it_comes():
    pieces = ["1,1.25\n2,3.5\n", '3,"1.\n', '5"\n', "4\n", '1.239,"2,25"\n']
    _, kept = records(*pieces)

    assert [kept.read(100) for _ in range(6)] == [*pieces, ""]


@pytest.mark.parametrize(
    ("pieces", "delimiter", "line", "value"),
    [
        (["1,2\n2,1.239\n"], ",", 12, "1.239"),
        (["1,2\n2,3\n", "4;1.239\n5;1e-9\n"], ";", 13, "1.239"),
        (['"a\nb",1\n', "c,1e-9\n"], ",", 13, "1e-9"),
        (['"a\n', 'b",1\n"c\nd",5.001\n'], ",", 13, "5.001"),
        (["1,2\n", '"x 1.239\n', 'y","1.111"\n'], ",", 12, "1.111"),
    ],
)
def test_a_value_that_is_cut_is_refused_with_its_record_s_first_line(
    pieces, delimiter, line, value
):
    _, kept = records(*pieces, delimiter=delimiter)

    with pytest.raises(JobFailure) as raised:
        list(iter(kept.read, ""))

    assert str(raised.value) == (
        f"a.csv:{line}: column price: {value!r} has more than 2 digits after the point, which the "
        "column does not keep: give it a type that does, such as text, and convert it in SQL"
    )


def test_what_the_reader_below_knows_and_is_told_is_the_same():
    under, kept = records()

    assert (kept.rows, kept.lines.of(1), kept.refuses_short_years) == (7, 11, False)
    kept.refuses_short_years = True
    assert under.refuses_short_years
    assert kept.refuses_short_years
