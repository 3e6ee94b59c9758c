"""Values as people write them: ages, sizes, shares, bounds, names; each with what it means."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobs.checks import measuring
from headrace.jobs.checks.bounds import bound_of, exactly, more_than, shown
from headrace.jobs.checks.check import Check, FailureTable, Judged, Measured
from headrace.jobs.checks.column_types import _fits, differences_of, fits_native
from headrace.jobs.checks.declared_checks import checks_of
from headrace.jobs.checks.measuring import share_of
from headrace.jobs.copying.name_rules import NameRules, snake_case
from headrace.jobs.files.atomic_files import partial_name
from headrace.jobs.files.split_files import Splitting, part_path
from headrace.jobs.http.exchange import Pace
from headrace.jobs.mirroring.parts import read_jobs, read_size
from headrace.jobs.tables.archive_ages import age_of, cutoff_of, seconds_of
from headrace.jobs.tables.expectations import Expectation, Limit
from headrace.jobs.tables.maintenance import Maintained, Need
from headrace.jobs.tables.partitions import span_of
from headrace.jobs.tables.table_catalog import Column
from headrace.jobs.transfer.lag import Lag
from headrace.jobs.transfer.selection import Selection

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "before"),
    [
        ("90s", "2026-01-31T11:58:30+00:00"),
        ("5m", "2026-01-31T11:55:00+00:00"),
        ("12h", "2026-01-31T00:00:00+00:00"),
        ("1d", "2026-01-30T12:00:00+00:00"),
        ("1w", "2026-01-24T12:00:00+00:00"),
    ],
)
def test_an_age_counts_back_from_the_logical_date(written, before):
    assert cutoff_of(age_of("older_than", written), None, NOON) == before


def test_without_an_age_the_given_time_decides():
    assert cutoff_of(None, "2026-01-01", NOON) == "2026-01-01"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(None, None), ("2s", 2), ("1.5m", 90), ("1h", 3600), ("1d", 86400), ("999999s", 999999)],
)
def test_a_pause_is_so_many_seconds(written, seconds):
    assert seconds_of("wait", written) == seconds


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("12h", "12 hours"),
        ("90d", "90 days"),
        (" 8w ", "8 weeks"),
        ("12 months", "12 months"),
        ("1 year", "1 year"),
        ("99999 days", "99999 days"),
    ],
)
def test_a_retention_is_an_interval_of_postgresql(written, span):
    assert span_of("retention", written) == span


@pytest.mark.parametrize("written", ["90", "90 m", "100000d", "-1d", "d"])
def test_any_other_retention_is_refused(written):
    with pytest.raises(InvalidPayload, match="retention is an age"):
        span_of("retention", written)


@pytest.mark.parametrize(
    ("written", "size"),
    [(None, None), ("3kB", 3072), ("2MB", 2 << 20), (" 1 gb ", 1 << 30), ("1TB", 1 << 40)],
)
def test_a_size_is_counted_as_postgresql_counts(written, size):
    assert read_size(written) == size
    assert read_jobs(2, written) == (2, size)


@pytest.mark.parametrize(
    ("given", "split"),
    [
        (None, Splitting()),
        ({"by": "country"}, Splitting(by="country")),
        ({"rows": " 100 "}, Splitting(rows=100)),
        ({"rows": 1}, Splitting(rows=1)),
        ({"bytes": 7}, Splitting(bytes=7)),
        ({"bytes": "2k"}, Splitting(bytes=2000)),
        ({"bytes": "2KB"}, Splitting(bytes=2000)),
        ({"bytes": "50MB"}, Splitting(bytes=50_000_000)),
        ({"bytes": "1 G"}, Splitting(bytes=1_000_000_000)),
    ],
)
def test_a_split_is_by_rows_bytes_or_a_column(given, split):
    assert Splitting.read(given) == split
    assert split.splits == bool(given)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("a/orders.csv", "a/orders-7.csv"),
        ("a/orders.csv.gz", "a/orders-7.csv.gz"),
        ("orders", "orders-7"),
        ("orders.gz", "orders-7.gz"),
        ("v1.2/orders.new", "v1.2/orders.new-7"),
        ("s3://bucket/a/orders.jsonl.zst", "s3://bucket/a/orders-7.jsonl.zst"),
    ],
)
def test_a_part_keeps_what_tells_the_format(path, part):
    assert part_path(path, "7") == part


@pytest.mark.parametrize(
    ("rate", "wait", "pace"),
    [
        (None, "5m", Pace(0.0, 300.0)),
        ("10/s", "0s", Pace(0.1, 0.0)),
        ("30/m", "1h", Pace(2.0, 3600.0)),
        ("1/h", "7s", Pace(3600.0, 7.0)),
    ],
)
def test_a_rate_is_a_pause_between_two_requests(rate, wait, pace):
    assert Pace.read(rate, wait) == pace


@pytest.mark.parametrize(
    ("given", "lag"),
    [
        (None, None),
        (0, Lag("0", steps=0)),
        (1000, Lag("1000", steps=1000)),
        ("90s", Lag("90s", seconds=90.0)),
        ("1.5m", Lag("1.5m", seconds=90.0)),
        ("2h", Lag("2h", seconds=7200.0)),
        ("1d", Lag("1d", seconds=86400.0)),
    ],
)
def test_a_lag_is_a_time_or_a_number(given, lag):
    assert Lag.read(given) == lag


@pytest.mark.parametrize(
    ("given", "type_", "subtracted"),
    [
        ("10m", "timestamp with time zone", " - make_interval(secs => 600.0)"),
        ("1d", "date", " - make_interval(secs => 86400.0)"),
        (5, "bigint", " - 5"),
        (5, "smallint", " - 5"),
        (5, "integer", " - 5"),
        (5, "numeric(12,2)", " - 5"),
        (5, "real", " - 5"),
        (5, "oid", " - 5"),
        (5, "double precision", " - 5"),
    ],
)
def test_a_lag_is_taken_from_a_cursor_of_its_kind(given, type_, subtracted):
    lag = Lag.read(given)
    assert lag is not None
    assert lag.subtracted(Column("c", type_)) == subtracted


@pytest.mark.parametrize(("given", "type_"), [("10m", "bigint"), (5, "date"), (5, "text")])
def test_a_lag_of_another_kind_than_its_cursor_is_refused(given, type_):
    lag = Lag.read(given)
    assert lag is not None
    with pytest.raises(JobFailure, match="cannot be taken from c"):
        lag.subtracted(Column("c", type_))


@pytest.mark.parametrize(
    ("conditions", "dead", "known", "age", "has"),
    [
        ((None, None), 0, 0, 0, True),
        ((10, None), 10, 100, 0, True),
        ((10, None), 9, 100, 999, False),
        (("20%", None), 20, 100, 0, True),
        (("20%", None), 19, 100, 0, False),
        (("12.5%", None), 125, 1000, 0, True),
        (("20%", None), 0, 0, 0, False),
        ((None, 5), 0, 0, 5, True),
        ((None, 5), 99, 100, 4, False),
        ((10, 5), 10, 100, 0, True),
        ((10, 5), 0, 100, 5, True),
    ],
)
def test_a_table_needs_work_from_its_bound_on(conditions, dead, known, age, has):
    table = Maintained("r", "t", allowed=True, dead=dead, known=known, age=age)
    assert Need.of(*conditions).has(table) is has


@pytest.mark.parametrize(
    ("given", "number", "base", "allowed"),
    [
        (5, 5, 0, True),
        ("5", 6, 1000, False),
        (0, 0, 9, True),
        ("5%", 5, 100, True),
        ("5%", 6, 100, False),
        ("0.5 %", 1, 200, True),
        ("100%", 3, 3, True),
        ("0%", 1, 100, False),
    ],
)
def test_a_limit_allows_exactly_what_it_says(given, number, base, allowed):
    assert Limit.read(given, "max_delete").allows(number, base) is allowed


@pytest.mark.parametrize(
    ("expected", "fits", "does_not"),
    [
        (5, 5, 6),
        ("=5", 5, 4),
        (">0", 1, 0),
        (">= 5", 5, 4),
        ("<5", 4, 5),
        ("<=5", 5, 6),
        ("10..20", 10, 9),
        ("10 .. 20", 20, 21),
    ],
)
def test_as_many_rows_come_as_are_expected(expected, fits, does_not):
    expectation = Expectation.read({"rows": expected})

    expectation.check_rows(fits, "t")
    with pytest.raises(JobFailure, match=f"^{does_not} rows have come for t, but expect.rows is"):
        expectation.check_rows(does_not, "t")


def test_no_more_rows_are_deleted_than_expected():
    expectation = Expectation.read({"max_delete": "50%"})

    expectation.check_deleted(1, 2, "t")
    with pytest.raises(JobFailure, match=r"^2 of the 3 rows of t would be deleted, but .* is 50%"):
        expectation.check_deleted(2, 3, "t")


@pytest.mark.parametrize(
    ("bound", "holds", "does_not", "told"),
    [
        ({"must_be": 5}, [5, 5.0, Decimal("5.00")], [4, 6], "must be 5"),
        ({"must_not_be": 5}, [4], [5], "must not be 5"),
        ({"must_be_greater_than": 5}, [5.1], [5], "must be greater than 5"),
        ({"must_be_greater_than_or_equal": 5}, [5], [4.9], "must be at least 5"),
        ({"must_be_less_than": 5}, [4.9], [5], "must be less than 5"),
        ({"must_be_less_than_or_equal": 5}, [5], [5.1], "must be at most 5"),
        ({"must_be_between": [1, 3]}, [1, 3], [0, 4], "must be between 1 and 3"),
        ({"must_be_not_between": [1, 3]}, [0, 4], [1, 3], "must not be between 1 and 3"),
        (
            {"must_be_greater_than": 1, "must_be_less_than": 3},
            [2],
            [1, 3],
            "must be greater than 1 and must be less than 3",
        ),
    ],
)
def test_a_bound_holds_up_to_its_end(bound, holds, does_not, told):
    found = bound_of(bound, name="n")

    assert all(map(found.holds, holds))
    assert not any(map(found.holds, [*does_not, None, Decimal("NaN")]))
    assert str(found) == told


def test_a_bound_of_shares_takes_and_tells_percent():
    found = bound_of({"must_be_less_than": "2.5%"}, name="n", unit="%")

    assert found.holds(Decimal("2.4"))
    assert not found.holds(Decimal("2.5"))
    assert str(found) == "must be less than 2.5%"


def test_without_words_the_default_bound_holds_in_the_checks_unit():
    assert str(bound_of({}, name="n", unit="%", default=exactly(0))) == "must be 0%"
    assert str(more_than(0)) == "must be greater than 0"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "no value"),
        (1e3, "1000"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1.50"), "1.5"),
        (100, "100"),
        (Decimal("2.00"), "2"),
        (float("inf"), "Infinity"),
    ],
)
def test_a_number_is_told_as_people_write_it(value, told):
    assert shown(value) == told


@pytest.mark.parametrize(
    ("bad", "total", "share"), [(1, 3, "33.3333"), (0, 0, "0"), (2, 2, "100"), (1, 8, "12.5")]
)
def test_a_share_is_told_in_percent_of_the_rows(bad, total, share):
    check = Check("missing", "n", exactly(0), given={"metric": "percent"})

    measured = share_of(check, bad, total, [])

    assert measured.value == Decimal(share)
    assert (measured.detail, measured.count) == (f"of {total} rows", bad)


def test_a_failure_names_five_rows_and_counts_the_others():
    rows = tuple({"id": number} for number in range(9))
    check = Check("missing", "n", exactly(0))

    judged = Judged(check, Measured(Decimal(9), "", 9, rows))

    listed = "id=0; id=1; id=2; id=3; id=4"
    assert judged.told == f"n: 9, must be 0: 9 rows ({listed}; and 4 more)"
    assert judged.reason == "n: must be 0"


@pytest.mark.parametrize(
    ("level", "value", "agrees", "verdict"),
    [
        ("error", 0, True, "passed"),
        ("warn", 0, True, "passed"),
        ("error", 1, True, "failed"),
        ("warn", 1, True, "warned"),
        ("error", 0, False, "failed"),
        ("error", None, True, "failed"),
    ],
)
def test_a_verdict_needs_the_value_and_the_earlier_runs(level, value, agrees, verdict):
    judged = Judged(Check("metric", "n", exactly(0), level=level), Measured(value, agrees=agrees))

    assert judged.verdict == verdict
    assert judged.as_result() == {
        "check": "n", "value": value, "bound": "must be 0", "level": level, "verdict": verdict,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("Order ID", "order_id"),
        ("orderId", "order_id"),
        ("HTTPStatus", "http_status"),
        ("größe", "groe"),
        ("2nd", "_2nd"),
        ("--", "_"),
        ("a.b-c", "a_b_c"),
        ("наим", "наим"),
    ],
)
def test_a_name_of_a_file_becomes_one_of_postgresqls(name, column):
    assert snake_case(name) == column


def test_a_selection_takes_leaves_out_and_renames():
    assert NameRules.read(None, "none").changes_nothing
    some = NameRules.read(["a", "b AS c"], "none")
    assert some.columns(["a", "b", "d"], "f") == ["a", "c", None]
    others = NameRules.read(["- b", "a as x"], "snake_case")
    assert others.columns(["a", "b", "My D"], "f") == ["x", None, "my_d"]
    assert not others.changes_nothing


@pytest.mark.parametrize(
    ("select", "told"),
    [
        (["z"], "f: has no column 'z', which `select` names; its columns: a, b"),
        (["-z"], "f: has no column 'z', which `select` names; its columns: a, b"),
        (["z as y"], "f: has no column 'z', which `select` names; its columns: a, b"),
        (["a as b"], "f: a and b both become 'b'"),
    ],
)
def test_a_selection_that_the_file_cannot_have_is_refused(select, told):
    with pytest.raises(JobFailure) as refused:
        NameRules.read(select, "none").columns(["a", "b"], "f")

    assert str(refused.value) == told


def test_a_copys_selection_takes_leaves_out_and_renames():
    read = Selection.read
    assert read(["a"]).only == ("a",)
    assert read(None, ["a", "b as c"]).only == ("a", "b")
    assert read(None, ["-a", "b as c"]).only is None
    assert read(None, ["- a", "b as c"]).left_out == ("a",)
    assert read(None, ["b AS c"]).renamed == {"b": "c"}
    assert read(where="a = 1").where == "a = 1"


def test_a_hidden_file_tells_job_and_attempt_and_stays_short():
    assert partial_name("a" * 40, "job", 2) == f".{'a' * 40}.job.2.part"
    long, other = partial_name("a" * 41, "job", 2), partial_name("a" * 42, "job", 2)
    assert long != other
    assert len(long) == len(".") + 40 + len("-") + 12 + len(".job.2.part")


@pytest.mark.parametrize(
    ("earlier", "value", "agrees", "detail"),
    [
        ([], 5, True, "no earlier runs to compare it with"),
        ([10], 10, True, "differs by 0% from 10, the median of 1 earlier run; that must be less"),
        ([10, 20, 12], 18, False, "differs by 50% from 12, the median of 3 earlier runs; that"),
        ([-10, -10], -14, True, "differs by 40% from -10, the median of 2 earlier runs"),
        ([0], 0, True, "differs by 0% from 0, the median of 1 earlier run"),
        ([0], 1, False, "differs by Infinity% from 0, the median of 1 earlier run"),
        ([7], None, True, "the median of 1 earlier run is 7"),
        ([1], "Infinity", False, "differs by Infinity% from 1, the median of 1 earlier run"),
        ([1], "NaN", False, "differs by NaN% from 1, the median of 1 earlier run"),
        ([1], "1e30", False, f"differs by 1{'0' * 32}% from 1, the median of 1 earlier run"),
        (["1e-24"], 1, False, f"differs by {'9' * 24}00% from 0.{'0' * 23}1, the median of 1"),
        ([3], 4, True, "differs by 33.3333% from 3, the median of 1 earlier run"),
    ],
)
def test_a_metric_is_compared_with_the_median_of_earlier_runs(
    monkeypatch, earlier, value, agrees, detail
):
    monkeypatch.setattr(measuring, "earlier_values", lambda *_: [Decimal(one) for one in earlier])
    given = {"deviation": {"runs": 3, "must_be_less_than": "50%"}}
    check = Check("metric", "m", exactly(0), given=given)

    found = measuring.of_metric(check, None, None if value is None else Decimal(value))

    assert (found.agrees, found.detail[: len(detail)]) == (agrees, detail)


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        ("integer", "int", True),
        ("integer", "bigint", False),
        ("numeric(12,2)", "numeric", True),
        ("numeric(12,2)", "numeric(12, 2)", True),
        ("numeric(12,2)", "numeric(12,3)", False),
        ("numeric(12,0)", "numeric(12)", True),
        ("numeric", "numeric(12)", False),
        ("character varying(9)", "varchar(9)", True),
        ("character varying(9)", "varchar(8)", False),
        ("character varying(9)[]", "varchar(9)[]", True),
        ("timestamp(3) with time zone", " timestamptz(3) ", True),
        ("text", "nothing", False),
    ],
)
def test_a_wanted_type_is_the_same_by_any_of_its_names(there, wanted, fits):
    known = {
        "int": "integer", "bigint": "bigint", "numeric": "numeric", "varchar": "character varying",
        "varchar[]": "character varying[]", "timestamptz": "timestamp with time zone",
        "nothing": None,
    }  # fmt: skip
    assert _fits(there, wanted, known) is fits


@pytest.mark.parametrize(
    ("there", "wanted", "fits"),
    [
        ("VARCHAR(9)", " varchar(9) ", True),
        ("varchar(9)", "varchar", True),
        ("varchar", "varchar(9)", False),
        ("int", "bigint", False),
    ],
)
def test_a_type_of_another_database_is_the_same_by_its_words(there, wanted, fits):
    assert fits_native(there, wanted) is fits


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"columns": ["a", "b"]}, ["not expected: c"]),
        ({"columns": ["a", "b"], "allow_extra_columns": True}, []),
        ({"columns": ["c", "b", "a"]}, []),
        (
            {"columns": ["c", "b", "a"], "allow_other_column_order": False},
            ["the order is a, b, c"],
        ),
        ({"columns": ["z", "a", "b", "c"], "allow_other_column_order": False}, ["z is missing"]),
        (
            {"columns": {"a": "int", "b": None, "c": "date"}},
            ["c is text, not date"],
        ),
    ],
)
def test_a_schema_differs_by_columns_types_and_order(given, told):
    there = {"a": "int", "b": "int", "c": "text"}

    assert list(differences_of(there, given, str.__eq__)) == told


@pytest.mark.parametrize(
    ("check", "name", "bound"),
    [
        ({"row_count": None}, "row_count of t", "must be greater than 0"),
        (
            {"freshness": {"column": "at", "must_be_less_than": 2}},
            "freshness at of t",
            "must be less than 2 hours",
        ),
        (
            {"freshness": {"column": "at", "unit": "day", "must_be_less_than": 2}},
            "freshness at of t",
            "must be less than 2 days",
        ),
        ({"missing": {"column": "a"}}, "missing a of t", "must be 0"),
        ({"missing": {"column": "a", "metric": "percent"}}, "missing a of t", "must be 0%"),
        ({"missing": {"column": "a", "metric": "count"}}, "missing a of t", "must be 0"),
        ({"duplicate": {"columns": ["a", "b"]}}, "duplicate a, b of t", "must be 0"),
        (
            {"duplicate": {"column": "a", "metric": "percent", "must_be_less_than": 2}},
            "duplicate a of t",
            "must be less than 2%",
        ),
        ({"invalid": {"column": "a", "valid_min": 1}}, "invalid a of t", "must be 0"),
        (
            {"aggregate": {"column": "a", "function": "sum", "must_be": 1}},
            "sum of a of t",
            "must be 1",
        ),
        ({"metric": {"name": "m", "expression": "1", "must_be": 1}}, "m", "must be 1"),
        (
            {"metric": {"name": "m", "expression": "1", "deviation": {"must_be": 1}}},
            "m",
            "",
        ),
        ({"failed_rows": {"query": "S"}}, "failed_rows", "must be 0"),
        ({"failed_rows": {"expression": "a"}}, "failed_rows of t", "must be 0"),
        ({"schema": {"columns": ["a"]}}, "schema of t", "must be 0"),
        ({"compare": {"connection": "c"}}, "compare t with c", "must be 0"),
        ({"row_count": {"name": "mine", "table": "u"}}, "mine", "must be greater than 0"),
    ],
)
def test_a_check_has_a_name_and_a_bound_of_its_kind(check, name, bound):
    (found,) = checks_of([check], "t", "a > 1")

    assert (found.name, str(found.bound)) == (name, bound)
    (keys,) = check.values()
    assert found.table == (keys or {}).get("table", "t")
    assert found.filter == "a > 1"


def test_a_comparison_names_the_table_on_the_other_connection():
    (found,) = checks_of([{"compare": {"connection": "c", "table": "u"}}], "t")
    assert (found.table, found.given["table"]) == ("t", "u")
    (alone,) = checks_of([{"compare": {"connection": "c", "table": "u"}}], None)
    assert alone.table == "u"


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (
            {"nothing_like_it": {}},
            'there is no check "nothing_like_it"; there are: row_count, fre',
        ),
        ({"row_count": {"nothing_like_it": 1}}, 'has no key "nothing_like_it"; it takes: name, le'),
    ],
)
def test_an_unknown_word_is_told_with_those_that_there_are(check, told):
    with pytest.raises(InvalidPayload) as refused:
        checks_of([check], "t")

    assert told in str(refused.value)


def test_failing_rows_are_kept_in_a_table_up_to_a_limit():
    assert FailureTable.of(None) is None
    assert FailureTable.of({"table": "f"}) == FailureTable("f", 100)
    assert FailureTable.of({"table": "f", "limit": 5}) == FailureTable("f", 5)
