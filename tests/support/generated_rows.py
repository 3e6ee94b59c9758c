"""Rows with values of every type that jobs carry: edges, and what Hypothesis makes of each type.

In CI they are the same in each run.
"""

import json
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.support.generated import ROUND

_TEXTS = ["", " ", "\\N", "\\.", "NULL", "a\tb\nc\rd\\e", "'\"", "größe €", "日本", "🙂", "{1,2}",
          "\x01", "e\u0301", "%s :p1 {{ x }}", "x" * 3000]  # fmt: skip
_NUMBERS = ["0", "-0.00", "1.0", "1.00", "NaN", "Infinity", "-Infinity",
            "1e-30", "12345678901234567890.123456789",
            "-99999999999999999999999999999999999999.5"]  # fmt: skip
_FLOATS = ["0", "-0", "NaN", "Infinity", "-Infinity", "0.1", "1e-300", "123456789.123456789",
           "0.30000000000000004", "-1.7976931348623157e308"]  # fmt: skip
_DATES = ["infinity", "-infinity", "0044-03-15 BC", "2026-02-03", "9999-12-31", "20000-01-01",
          "1899-12-31"]  # fmt: skip
_TIMES = ["infinity", "2026-03-29 02:30:00", "1883-11-18 12:03:58.999999", "0001-01-01 00:00 BC",
          "2026-02-03 04:05:06.7"]  # fmt: skip
_SPANS = ["1 mon", "30 days", "24:00:00", "1 day", "-1 mon +2 days -03:04:05.000006", "0",
          "178000000 years"]  # fmt: skip
_JSON = ['{"a": 1.10, "a": 2}', "[1, null, {}]", '"\\u00e9 \\n"', "12345678901234567.890", "null",
         '{ "b":1,  "a":2 }']  # fmt: skip

# Column → its type, and a function that gives a literal's text.
_COLUMNS: dict[str, tuple[str, Any]] = {
    "c_bool": ("boolean", ["t", "f"]),
    "c_small": ("smallint", ["-32768", "32767", "0"]),
    "c_int": ("integer", ["-2147483648", "7"]),
    "c_big": ("bigint", ["-9223372036854775808", "9007199254740993"]),
    "c_numeric": ("numeric", _NUMBERS),
    "c_money": ("money", ["-1234.56", "0"]),
    "c_fixed": ("numeric(12,2)", ["-0.5", "1234567890.12", "NaN"]),
    "c_real": ("real", ["0.1", "-0", "NaN", "3.4028235e38", "16777217"]),
    "c_float": ("double precision", _FLOATS),
    "c_text": ("text", _TEXTS),
    "c_varchar": ("character varying(20)", ["", "größe  ", "a"]),
    "c_char": ("character(5)", ["a", "a  ", "", "größe"]),
    "c_one": ('"char"', ["a", "\\\\"]),
    "c_name": ("name", ["Order ID", "x"]),
    "c_bytes": ("bytea", ["\\x", "\\x00ff5c0a", "\\xdeadbeef"]),
    "c_date": ("date", _DATES),
    "c_time": ("time(3)", ["24:00:00", "00:00:00.123", "12:30"]),
    "c_timetz": ("time with time zone", ["12:30:00+05:30", "00:00:00-11"]),
    "c_stamp": ("timestamp", _TIMES),
    "c_stamptz": ("timestamp with time zone", [f"{t}" for t in _TIMES]),
    "c_interval": ("interval", _SPANS),
    "c_uuid": ("uuid", ["00000000-0000-0000-0000-000000000000"]),
    "c_json": ("json", _JSON),
    "c_jsonb": ("jsonb", _JSON),
    "c_inet": ("inet", ["10.0.0.1/8", "::1"]),
    "c_cidr": ("cidr", ["10.0.0.0/8"]),
    "c_mac": ("macaddr", ["08:00:2b:01:02:03"]),
    "c_bit": ("bit(3)", ["101"]),
    "c_varbit": ("bit varying", ["", "1011"]),
    "c_point": ("point", ["(1,2)", "(0.1,-0)", "(NaN,Infinity)"]),
    "c_box": ("box", ["(1,1),(0,0)"]),
    "c_path": ("path", ["[(0,0),(1,1)]", "((0,0),(1,1))"]),
    "c_polygon": ("polygon", ["((0,0),(1,1),(2,0))"]),
    "c_circle": ("circle", ["<(1,2),3>"]),
    "c_search": ("tsvector", ["'a':1 'b':2A", ""]),
    "c_query": ("tsquery", ["'a' & !'b'"]),
    "c_ints": ("integer[]", ["{}", "{1,NULL,3}", "[0:1]={1,2}", "{{1,2},{3,4}}"]),
    "c_texts": ("text[]", ['{"a,b","",NULL,"NULL","\\"x\\"","\\\\"}']),
    "c_jsons": ("jsonb[]", ['{"{\\"a\\": 1}",NULL}']),
    "c_range": ("numrange", ["empty", "[1.0,2.50)", "(,)", "[NaN,)"]),
    "c_dates": ("daterange", ["[2026-01-01,2026-02-01)", "empty"]),
    "c_multi": ("int4multirange", ["{[1,3),[5,7)}", "{}"]),
    "c_own_range": ("app.floats", ["[0.1,0.2)", "empty"]),
    "c_line": ("line", ["{1,-1,0}", "{0.1,2,-3}"]),
    "c_segment": ("lseg", ["[(0,0),(1,1.5)]"]),
    "c_mac8": ("macaddr8", ["08:00:2b:01:02:03:04:05"]),
    "c_jsonpath": ("jsonpath", ['$."a"[*]?(@ > 1)', "strict $"]),
    "c_place": ("pg_lsn", ["0/0", "16/B374D848"]),
    "c_oid": ("oid", ["0", "4294967295"]),
    "c_xid8": ("xid8", ["0", "18446744073709551615"]),
    "c_xid": ("xid", ["0", "4294967295"]),
    "c_cid": ("cid", ["0", "4294967295"]),
    "c_tid": ("tid", ["(0,1)", "(4294967295,65535)"]),
    "c_shorts": ("int2vector", ["1 -2 3", ""]),
    "c_oids": ("oidvector", ["1 2 4294967295", ""]),
    "c_snapshot": ("pg_snapshot", ["10:20:10,14,15", "1:1:"]),
    "c_old_snapshot": ("txid_snapshot", ["10:20:10,14,15"]),
    "c_cursor": ("refcursor", ["c1", '"a b"']),
    "c_type": ("regtype", ["integer", "app.mood", "-"]),
    "c_class": ("regclass", ["pg_class", "-"]),
    "c_process": ("regproc", ["now", "-"]),
    "c_procedure": ("regprocedure", ["abs(integer)", "-"]),
    "c_operator": ("regoper", ["pg_catalog.||/", "0"]),
    "c_operation": ("regoperator", ["+(integer,integer)", "0"]),
    "c_role": ("regrole", ["pg_monitor", "-"]),
    "c_namespace": ("regnamespace", ["pg_catalog", "-"]),
    "c_config": ("regconfig", ["english", "simple"]),
    "c_dictionary": ("regdictionary", ["english_stem"]),
    "c_collation": ("regcollation", ['"C"', '"POSIX"']),
    "c_int_range": ("int4range", ["empty", "[1,5)", "(,)"]),
    "c_big_range": ("int8range", ["[-9223372036854775808,5)", "empty"]),
    "c_stamp_range": ("tsrange", ['["2026-01-01 00:00:00",infinity)', "(,)"]),
    "c_zoned_range": ("tstzrange", ['["2026-01-01 00:00:00+00","2026-02-03 04:05:06.7+00")']),
    "c_bigs": ("int8multirange", ["{[1,3),[5,7)}"]),
    "c_numbers": ("nummultirange", ["{[0.10,3),[5,7)}", "{}"]),
    "c_days": ("datemultirange", ["{[2026-01-01,2026-02-01)}"]),
    "c_stamps": ("tsmultirange", ['{["2026-01-01 00:00:00","2026-02-01 00:00:00")}']),
    "c_zoned": ("tstzmultirange", ['{["2026-01-01 00:00:00+00","2026-02-01 00:00:00+00")}']),
    "c_datas": ("bytea[]", ['{"\\\\x00ff",NULL,"\\\\x"}']),
    "c_floats": ("double precision[]", ["{NaN,-0,1e-300,NULL}", "{}"]),
    "c_times": ("timestamp with time zone[]", ['{infinity,"2026-02-03 04:05:06.7+00"}']),
    "c_domains": ("app.posint[]", ["{1,2}", "{NULL}"]),
    "c_ranges": ("numrange[]", ['{"[1.0,2.50)",empty,NULL}']),
    "c_enum": ("app.mood", ["sad", "so so", "it's"]),
    "c_enums": ("app.mood[]", ['{sad,"so so"}']),
    "c_domain": ("app.posint", ["1", "2147483647"]),
    "c_pair": ("app.pair", ['(1,"a,b")', "(,)", '(-1,"")', '(2,"say ""hi""")']),
    "c_pairs": ("app.pair[]", ['{"(1,\\"a b\\")",NULL}']),
}

TYPES: dict[str, Any] = {
    "columns": {name: kind for name, (kind, _) in _COLUMNS.items()},
    "own": [
        "TYPE app.mood AS ENUM ('sad', 'so so', 'it''s')",
        "DOMAIN app.posint AS integer CHECK (value > 0)",
        "TYPE app.pair AS (a integer, b text)",
        "TYPE app.floats AS RANGE (subtype = float8)",
    ],
}


Row = dict[str, str | None]
_AT_ONCE, _MOST = 20, 200

# What no database stores: NUL, and halves of characters.
_characters = st.characters(exclude_characters="\x00", exclude_categories=["Cs"])
_words = st.text(_characters, max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | _words,
    lambda part: st.lists(part, max_size=3) | st.dictionaries(_words, part, max_size=3),
    max_leaves=5,
).map(json.dumps)  # fmt: skip


def _ints(bits: int) -> st.SearchStrategy[str]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(str)


def _array(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    quoted = items.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return st.lists(quoted | st.just("NULL"), max_size=5).map(lambda all_: f"{{{','.join(all_)}}}")


def _range(ends: st.SearchStrategy[Any], written: Callable[[Any], str] = str) -> Any:
    """Return ranges with both ends, open or closed."""
    pairs = st.tuples(ends, ends).map(sorted)
    return st.builds(
        lambda left, pair, right: f"{left}{written(pair[0])},{written(pair[1])}{right}",
        st.sampled_from("[("), pairs, st.sampled_from("])"),
    )  # fmt: skip


def _moment(at: datetime) -> str:
    return f"{at.year:04d}{at.isoformat(' ')[4:]}"


def _day(day: date) -> str:
    return f"{day.year:04d}{day.isoformat()[4:]}"


_numerics = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda number: abs(number.adjusted()) < 200
)
_bytes = st.binary(max_size=40).map(lambda raw: f"\\x{raw.hex()}")
_zoned = st.datetimes().map(lambda at: f"{_moment(at)}+00")
_bits = st.text("01", max_size=20)
_octets = st.integers(0, 255)
_pairs = st.tuples(st.none() | st.integers(-(2**31), 2**31 - 1), _words).map(
    lambda pair: "({},{})".format(
        "" if pair[0] is None else pair[0],
        '"' + pair[1].replace("\\", "\\\\").replace('"', '""') + '"',
    )
)

# Of the types with more values than edges; the others take their edges only.
_MADE: dict[str, st.SearchStrategy[str]] = {
    "c_small": _ints(16),
    "c_int": _ints(32),
    "c_big": _ints(64),
    "c_numeric": _numerics.map(str),
    "c_money": st.integers(-(10**12), 10**12).map(lambda n: str(Decimal(n).scaleb(-2))),
    "c_fixed": st.integers(-(10**12) + 1, 10**12 - 1).map(lambda n: str(Decimal(n).scaleb(-2))),
    "c_real": st.floats(width=32).map(repr),
    "c_float": st.floats().map(repr),
    "c_text": _words,
    "c_varchar": st.text(_characters, max_size=20),
    "c_char": st.text(_characters, max_size=5),
    "c_bytes": _bytes,
    "c_date": st.dates().map(_day),
    "c_time": st.times().map(time.isoformat),
    "c_stamp": st.datetimes().map(_moment),
    "c_stamptz": _zoned,
    "c_interval": st.builds(
        "{} mon {} days {} microseconds".format,
        *(
            st.integers(-(10**6), 10**6),
            st.integers(-(10**6), 10**6),
            st.integers(-(10**15), 10**15),
        ),
    ),
    "c_uuid": st.uuids().map(str),
    "c_json": _json,
    "c_jsonb": _json.filter(lambda text: "\\u0000" not in text),
    "c_inet": st.ip_addresses().map(str),
    "c_mac": st.binary(min_size=6, max_size=6).map(bytes.hex),
    "c_mac8": st.binary(min_size=8, max_size=8).map(bytes.hex),
    "c_varbit": _bits,
    "c_point": st.tuples(st.floats(), st.floats()).map(lambda p: f"({p[0]!r},{p[1]!r})"),
    "c_ints": st.lists(_ints(32) | st.just("NULL"), max_size=9).map(
        lambda all_: f"{{{','.join(all_)}}}"
    ),
    "c_texts": _array(_words),
    "c_jsons": _array(_json),
    "c_datas": _array(_bytes),
    "c_floats": st.lists(st.floats().map(repr), max_size=5).map(lambda a: f"{{{','.join(a)}}}"),
    "c_times": _array(_zoned),
    "c_range": _range(_numerics),
    "c_int_range": _range(st.integers(-(2**31), 2**31 - 2)),
    "c_big_range": _range(st.integers(-(2**63), 2**63 - 2)),
    "c_dates": _range(st.dates(max_value=date(9998, 1, 1)), _day),
    "c_stamp_range": _range(st.datetimes(), _moment),
    "c_oid": st.integers(0, 2**32 - 1).map(str),
    "c_xid8": st.integers(0, 2**64 - 1).map(str),
    "c_domain": st.integers(1, 2**31 - 1).map(str),
    "c_pair": _pairs,
    "c_pairs": _array(_pairs),
}


def generated_rows(count: int) -> list[Row]:
    """Return rows of all columns: the edges of each first, a tenth NULL, the others generated."""
    ROUND.cases += count
    return _rows(count, ROUND.seed)


@lru_cache(maxsize=1)
def _rows(count: int, _round: int | None) -> list[Row]:
    columns = {name: _values(name, at, count) for at, name in enumerate(_COLUMNS)}
    return [{name: values[row] for name, values in columns.items()} for row in range(count)]


def _values(name: str, at: int, count: int) -> list[str | None]:
    """Return the values of the column that is the `at`-th; NULL is in another row in each."""
    edges = _COLUMNS[name][1]
    made = [*edges, *(_made(_MADE[name], count) if name in _MADE else [])]
    return [
        edges[row] if row < len(edges)
        else None if (row + at) % 10 == 0
        else made[row % len(made)]
        for row in range(count)
    ]  # fmt: skip


def _made(values: st.SearchStrategy[str], count: int) -> list[str]:
    """Return values that Hypothesis makes; by column, and many at once, which is quick."""
    found: list[str] = []
    draws = 1 + min(count, _MOST) // _AT_ONCE

    @settings(
        max_examples=draws, database=None, deadline=None, phases=[Phase.generate],
        derandomize="CI" in os.environ, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(values, min_size=_AT_ONCE, max_size=_AT_ONCE))
    def keep(values: list[str]) -> None:
        found.extend(values)

    if ROUND.seed is not None:
        seed(ROUND.seed)(keep)
    keep()
    return list(dict.fromkeys(found))


def inserts(table: str, rows: list[Row]) -> Iterator[str]:
    """Yield the INSERTs of rows, with the keys 1 to their number."""
    for key, row in enumerate(rows, 1):
        values = ", ".join(_literal(row[name]) for name in _COLUMNS)
        yield f"INSERT INTO {table} VALUES ({key}, {values})"


def _literal(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
