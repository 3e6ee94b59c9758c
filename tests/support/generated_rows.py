"""Rows with values of every type that jobs carry, generated from a seed: edges and chance."""

from collections.abc import Iterator
from random import Random
from typing import Any

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


def generated_rows(table: str, count: int, chance: Random) -> Iterator[str]:
    """Yield INSERTs of `count` rows with the keys 1 to `count`."""
    for key in range(1, count + 1):
        values = [_literal(_value(name, key, chance)) for name in _COLUMNS]
        yield f"INSERT INTO {table} VALUES ({key}, {', '.join(values)})"


def _value(name: str, key: int, chance: Random) -> str | None:
    edges = _COLUMNS[name][1]
    if chance.random() < 0.1:
        return None
    if key <= len(edges):
        return str(edges[key - 1])
    by_chance = _CHANCE.get(name)
    return by_chance(chance) if by_chance and chance.random() < 0.7 else str(chance.choice(edges))


_CHANCE: dict[str, Any] = {
    "c_numeric": lambda c: f"{c.randrange(-(10**30), 10**30)}.{c.randrange(10**9):09d}",
    "c_float": lambda c: repr(c.uniform(-1, 1) * 10 ** c.randrange(-300, 300)),
    "c_big": lambda c: str(c.randrange(-(2**63), 2**63)),
    "c_text": lambda c: "".join(
        chr(
            c.choice(
                [c.randrange(1, 128), c.randrange(160, 0xD7FF), c.randrange(0x10000, 0x10FFFF)]
            )
        )
        for _ in range(c.randrange(40))
    ),
    "c_bytes": lambda c: "\\x" + c.randbytes(c.randrange(30)).hex(),
    "c_stamptz": lambda c: (
        f"{c.randrange(1, 9999):04d}-{c.randrange(1, 13):02d}-"
        f"{c.randrange(1, 29):02d} {c.randrange(24):02d}:00:00."
        f"{c.randrange(10**6):06d}+00"
    ),
    "c_uuid": lambda c: c.randbytes(16).hex(),
    "c_ints": lambda c: "{" + ",".join(str(c.randrange(99)) for _ in range(c.randrange(9))) + "}",
}


def _literal(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"
