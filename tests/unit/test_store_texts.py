"""What is said of PostgreSQL's errors and outages, and how long it is waited for."""

import logging
import math
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors

from headrace.errors import ConfigError, QueueUnavailable, StoreUnavailable
from headrace.store import error_reasons, explain, sql_errors, waiting
from headrace.store.backoff import Outage
from headrace.store.embedded import place
from headrace.store.error_reasons import Reasons
from headrace.store.others.file_urls import file_of
from headrace.store.others.mysql_types import declared_type

# -- outages --------------------------------------------------------------------------


def test_an_outage_is_said_once_for_each_cause_with_pauses_that_grow_to_five_seconds(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    asked: list[tuple[float, float]] = []

    def longest(least: float, most: float) -> float:
        asked.append((least, most))
        return most

    monkeypatch.setattr("headrace.store.backoff.random.uniform", longest)
    outage = Outage(logging.getLogger("headrace.t"), first_pause_s=1.0)
    away, full = StoreUnavailable("away"), QueueUnavailable("no room", "full")
    with caplog.at_level(logging.INFO):
        outage.over()
        assert [outage.pause_s(away) for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
        outage.say(full)
        outage.say(QueueUnavailable("no room", "full"))
        outage.say(QueueUnavailable("no answer"))
        outage.over()
        outage.over()
        assert outage.pause_s(away) == 1.0

    assert asked[:2] == [(0, 1.0), (0, 2.0)]
    assert caplog.messages == [
        "away; waiting for it", "no room; waiting for it", "no answer; waiting for it",
        "continuing after redis-unavailable", "away; waiting for it",
    ]  # fmt: skip


# -- waits ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "limit_s"),
    [
        ("host=a", 5.0), ("host=a,b,c", 15.0), ("dbname=x", 5.0),
        ("host=a,b connect_timeout=3", 6.0), ("host=a connect_timeout=0", math.inf),
        ("host=a connect_timeout=-1", math.inf),
    ],
)  # fmt: skip
def test_a_connection_is_waited_for_as_long_as_libpq_would(dsn: str, limit_s: float):
    assert waiting._connect_limit_s(dsn) == limit_s


def test_a_silent_server_is_asked_after_five_seconds_and_goes_on_where_it_answers(
    monkeypatch: pytest.MonkeyPatch,
):
    answers = [True, False]
    monkeypatch.setattr(waiting, "_answers", lambda _url: answers.pop(0))

    assert waiting._look("url", 1.0) == 4.0
    assert waiting._look("url", 5.0) == 5.0
    assert waiting._look("url", 10.0) is None
    with waiting.within(2.0):
        assert waiting._look("url", 0.5) == 1.5
        assert waiting._look("url", 2.0) is None
    assert waiting._look("url", 1.0) == 4.0


def test_a_server_that_has_no_room_says_something_at_all(monkeypatch: pytest.MonkeyPatch):
    def connected(cause: BaseException | None) -> Any:
        def connect(_url: str, **_more: Any) -> Any:
            if cause is None:
                return SimpleNamespace(close=lambda: None)
            raise StoreUnavailable("no") from cause

        monkeypatch.setattr(waiting, "connect_raw", connect)
        return waiting._answers("url")

    assert connected(None)
    assert connected(psycopg2.OperationalError("too many clients"))
    assert not connected(waiting.NoAnswer("no answer within 2.0 s"))


class Line:
    """A connection that becomes ready at some look."""

    def __init__(self, *states: int, status: int = psycopg2.extensions.STATUS_READY) -> None:
        self.states = list(states)
        self.status = status
        self.dsn = "host=a connect_timeout=3"

    def poll(self) -> int:
        return self.states.pop(0)


def test_a_wait_is_looked_up_from_time_to_time_and_given_up_where_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
):
    now = [0.0]
    pauses: list[float] = []

    def ready(_line: Any, _state: int, pause_s: float) -> bool:
        pauses.append(round(pause_s, 3))
        now[0] += pause_s
        return len(pauses) == 3

    monkeypatch.setattr("headrace.store.waiting.time.monotonic", lambda: now[0])
    monkeypatch.setattr(waiting, "_ready", ready)
    reading, done = psycopg2.extensions.POLL_READ, psycopg2.extensions.POLL_OK
    looks: list[float] = []

    def look(waited_s: float) -> float | None:
        looks.append(round(waited_s, 3))
        return 2.0 if waited_s < 100 else None

    waiting._wait(look, Line(done))
    assert pauses == []
    waiting._wait(look, Line(reading, done))
    assert (pauses, looks) == ([0.05, 2.0, 2.0], [0.05, 2.05])
    # A connection that is only being made has its own limit, whatever the look says.
    with pytest.raises(waiting.NoAnswer, match=r"no answer within 3\.0 s"):
        waiting._wait(look, Line(reading, done, status=psycopg2.extensions.STATUS_SETUP))
    now[0] = 0.0
    with pytest.raises(waiting.NoAnswer, match=r"no answer within 100\.\d s"):
        waiting._wait(lambda waited_s: 100.0 if waited_s < 100 else None, Line(reading, done))


# -- errors ---------------------------------------------------------------------------


def refused(
    code: str | None = "42P01", sent: bytes | None = b"SELECT 1\n  FROM gone\n", **diag: Any
):
    known = {"message_primary": "no such table", "statement_position": None,
             "message_detail": None, "message_hint": None, "context": None}  # fmt: skip
    given = {"pgcode": code, "diag": SimpleNamespace(**{**known, **diag}), "sent": sent,
             "cursor": None}  # fmt: skip
    return type("Refused", (psycopg2.ProgrammingError,), given)("the driver's words\n")


def told(error: BaseException, place: str | None = None) -> list[str]:
    text = sql_errors.told_error(error, lambda _line: place)
    assert text is not None
    return text.splitlines()


def test_what_the_server_said_is_told_with_its_line_and_all_it_added():
    whole = refused(statement_position="18", message_detail="D", message_hint="H",
                    context="C 1\nC 2")  # fmt: skip

    assert told(whole, "p.yaml:7") == [
        "p.yaml:7: no such table [undefined_table]",
        "  line: FROM gone",
        "  detail: D",
        "  hint: H",
        "  where: C 1",
    ]
    assert told(SimpleNamespace(orig=whole))[0] == "no such table [undefined_table]"  # type: ignore[arg-type]
    assert told(refused(code="ZZ999", message_primary=None)) == ["the driver's words [ZZ999]"]
    assert told(refused(statement_position="1"))[1] == "  line: SELECT 1"
    assert (
        told(refused(sent=b"x" * 300, statement_position="300"))[1] == "  line: " + "x" * 199 + "…"
    )
    assert len(told(refused(sent=None, statement_position="1"))) == 1
    declared = b'DECLARE "c_1" CURSOR WITHOUT HOLD FOR SELECT nope'
    assert told(refused(sent=declared, statement_position="46"))[1] == "  line: SELECT nope"
    for none in (ValueError("x"), refused(code=None)):
        assert sql_errors.told_error(none, lambda _line: None) is None


def test_a_link_of_the_library_is_no_part_of_an_error():
    text = "bad\n(Background on this error at: https://sqlalche.me/e/20/f405) more"

    assert sql_errors.without_link(text) == "bad more"


def noted(code: str, *, name: str | None = None, role: str | None = None, **more: Any) -> str:
    """Return what is added to an error of a job on a connection."""
    raw = SimpleNamespace(
        connection_name=name, info=SimpleNamespace(user="login"), backend_pid=7, closed=0
    )
    sent = more.get("sent", b'SELECT "A""b", c$ FROM T')
    cursor = SimpleNamespace(connection=raw, query=sent)
    error = type("E", (errors.lookup(code),), {"pgcode": code, "cursor": cursor})(
        more.get("text", "x")
    )
    wrapped = RuntimeError("the job's")
    wrapped.__cause__ = error

    def url_of(_name: str | None) -> str:
        if "url" in more:
            return str(more["url"])
        raise ConfigError("no URL here")

    reasons = Reasons(url_of, {"shop": "it is a standby"}, lambda _name: role)
    reasons.add_to(wrapped)
    return "\n".join(getattr(wrapped, "__notes__", []))


def test_a_missing_right_names_the_role_and_the_connection():
    assert noted("42501") == 'the role "login" lacks the right: whoever owns it can GRANT it'
    assert noted("42501", name="shop", role="etl") == (
        'the role "etl" of the connection shop lacks the right: whoever owns it can GRANT it'
    )


def test_a_lock_that_is_not_got_says_where_the_limit_is_set():
    assert noted("55P03") == (
        "lock_timeout in the step's `with` says how long a statement waits for a lock"
    )
    assert "`with`, or of the connection shop in config.yaml, says how long" in noted(
        "55P03", name="shop"
    )


def test_where_who_holds_a_lock_cannot_be_seen_the_rest_is_told(monkeypatch: pytest.MonkeyPatch):
    class Cut:
        """A session that ends while it is asked."""

        def plain(self) -> Any:
            return nullcontext(self)

        def execute(self, _statement: str, values: dict[str, Any]) -> None:
            done.append(values["words"])
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

        def close(self) -> None:
            done.append("closed")

    done: list[Any] = []
    without = noted("55P03")
    monkeypatch.setattr(error_reasons, "connect_raw", lambda *_given, **_named: Cut())
    assert noted("55P03", url="postgresql://h/db") == without
    assert done == [["select", 'A"b', "c$", "from", "t"], "closed"]

    # What is looked for is bounded, however long the statement is.
    long = " ".join(f"w{number}" for number in range(1500))
    assert noted("55P03", url="postgresql://h/db", sent=long.encode()) == without
    assert (len(done[2]), done[2][-1]) == (1000, "w999")


def test_a_database_that_can_only_be_read_says_why():
    assert noted("25006", name="shop") == "in the connection shop: it is a standby"
    assert noted("25006", name="other") == noted("25006") == noted("42P01") == ""


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('byte sequence 0xe2 0x82 0xac in encoding "UTF8" has no equivalent in encoding "LATIN1"',
         "the character € (U+20AC) does not exist in LATIN1, the encoding there"),
        ('byte sequence 0xe4 in encoding "LATIN1" has no equivalent in encoding "KOI8R"',
         "the character ä (U+00E4) does not exist in KOI8R, the encoding there"),
        ('byte sequence 0xff in encoding "KOI8R" has no equivalent in encoding "LATIN1"', ""),
        ("another text", ""),
    ],
)  # fmt: skip
def test_a_character_that_an_encoding_lacks_is_shown_with_its_number(text: str, note: str):
    assert noted("22P05", text=text) == note


def test_who_holds_a_lock_is_told_with_what_is_known_of_it():
    holder = error_reasons._holder("a.b", 9, "etl", "psql", "idle in transaction", 3)
    assert holder == (
        'process 9 of the role "etl" (psql), idle in transaction, in a transaction for 3 s, which'
        " has a.b"
    )
    assert error_reasons._holder("a.b", 9, None, None, None, 3) == (
        "process 9, at work, in a transaction for 3 s, which has a.b"
    )


# -- estimates ------------------------------------------------------------------------


def scan(table: str, rows: int, **more: Any) -> dict[str, Any]:
    return {"Node Type": "Seq Scan", "Filter": "x", "Schema": "s", "Relation Name": table,
            "Plan Rows": rows, "Total Cost": 1, **more}  # fmt: skip


class Sizes:
    def __init__(self, **rows: float) -> None:
        self.rows = rows

    def execute(self, _sql: str, values: Any) -> None:
        self.asked = values

    def fetchone(self) -> Any:
        found = self.rows.get(self.asked[1])
        return None if found is None else (found,)


def test_a_large_table_of_which_a_filter_keeps_few_is_named_once():
    sizes = Sizes(large=100_000.0, small=99_999.0)
    below = [
        scan("large", 9_999), scan("large", 1), scan("small", 1), scan("gone", 1),
        scan("large2", 1, **{"Node Type": "Index Scan"}),
    ]  # fmt: skip
    plan = {"Node Type": "Append", "Plan Rows": 5.0, "Total Cost": 2, "Plans": below}

    assert explain._estimate(plan, sizes) == explain.Estimate(2.0, 5, ("s.large",))
    assert explain._estimate(scan("large", 10_000), sizes).scans == ()
    unfiltered = {key: value for key, value in scan("large", 1).items() if key != "Filter"}
    assert explain._estimate(unfiltered, sizes).scans == ()


def test_the_line_of_a_fault_is_that_of_the_text_and_not_of_its_values():
    texts, literals = ("SELECT ", ",\n", " FROM gone"), ("'a\nb'", "'c\n'")
    sent = explain._EXPLAIN + explain._joined(texts, literals)

    def fault(word: str, **more: Any) -> explain.Fault:
        position = str(sent.index(word) + 1)
        error = refused(**{"statement_position": position, "message_hint": "H", **more})
        return explain._fault(error, sent, texts, literals)

    gone = fault("gone")
    assert (gone.line, gone.word, gone.code, gone.hint) == (2, "gone", "undefined-table", "H")
    assert fault("SELECT").line == 1
    assert fault("'c").line == 2
    assert fault("gone", code="ZZ999").code == "sql-zz999"
    assert fault("gone", code=None).code == "sql-error"
    nowhere = fault("gone", statement_position=None, message_primary=None)
    assert (nowhere.line, nowhere.word, nowhere.message) == (0, "", "the driver's words\n")


# -- other databases and files --------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "declared"),
    [
        ({"code": 1, "length": 1}, "tinyint(1)"),
        ({"code": 1, "length": 4}, "tinyint"),
        ({"code": 1, "length": 1, "flags": 32}, "tinyint unsigned"),
        ({"code": 8, "flags": 32}, "bigint unsigned"),
        ({"code": 246, "length": 14, "scale": 2}, "decimal(12,2)"),
        ({"code": 246, "length": 11, "scale": 0}, "decimal(10,0)"),
        ({"code": 246, "length": 13, "scale": 2, "flags": 32}, "decimal(12,2)"),
        ({"code": 12, "scale": 3}, "datetime(3)"),
        ({"code": 7, "scale": 31}, "timestamp(6)"),
        ({"code": 252, "charset": 63}, "blob"),
        ({"code": 252, "charset": 45}, "text"),
        ({"code": 254, "charset": 63, "flags": 256}, "text"),
        ({"code": 254, "charset": 63, "flags": 2048}, "text"),
        ({"code": 16, "length": 8}, "bit(8)"),
        ({"code": 245}, "json"),
        ({"code": 255}, "a type of the number 255"),
        *(
            ({"code": code, "scale": 2}, declared)
            for code, declared in (
                (2, "smallint"), (3, "int"), (9, "mediumint"), (4, "float"), (5, "double"),
                (6, "text"), (10, "date"), (11, "time(2)"), (13, "year"), (14, "date"),
            )
        ),
        *(({"code": code, "charset": 63}, "blob") for code in (15, 249, 250, 251, 253)),
        *(({"code": code}, "text") for code in (15, 249, 250, 251, 253)),
    ],
)  # fmt: skip
def test_a_column_of_mysql_has_the_type_that_it_would_be_declared_with(
    field: dict[str, int], declared: str
):
    known = {"length": 0, "scale": 0, "flags": 0, "charset": 45, **field}
    given = SimpleNamespace(
        type_code=known["code"], length=known["length"], scale=known["scale"],
        flags=known["flags"], charsetnr=known["charset"],
    )  # fmt: skip

    assert declared_type(given) == declared


def test_a_url_of_a_file_is_a_path():
    assert file_of("sqlite:////srv/a%20b.db", "x") == "/srv/a b.db"
    assert file_of("duckdb:///a.db", "x") == "a.db"
    for wrong in ("sqlite://a.db", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?b=c"):
        with pytest.raises(ConfigError, match='the URL of the connection "x" names no file'):
            file_of(wrong, "x")


def test_a_server_s_log_is_set_aside_above_ten_megabytes(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(place, "_MAX_LOG_BYTES", 10)
    one = place.Place(tmp_path, tmp_path)
    log = one.log("postgres")
    log.parent.mkdir()
    place.bound_log(one, "postgres")
    for size, kept in ((10, False), (11, True)):
        log.write_text("x" * size)
        place.bound_log(one, "postgres")
        assert log.with_suffix(".log.1").exists() is kept
        assert log.stat().st_size == (0 if kept else 10)
    log.write_text("line\n" * 20)
    told_lines = str(place.refuse(tmp_path, "it did not start", log)).splitlines()
    assert told_lines[0] == f"{tmp_path}: it did not start"
    assert told_lines[1:14] == [f"The last lines of {log}:", *["  line"] * 12]
    assert "choose another HEADRACE_HOME" in told_lines[-1]
