"""Ended runs as spans and lineage events, without a receiver: what they name and leave out."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from headrace.declarations.config import Settings
from headrace.engine.telemetry import lineage, receivers, spans
from headrace.engine.telemetry.ended_runs import EndedJob, EndedRun, attributes
from headrace.engine.telemetry.exporting import Exporting, Telemetry
from headrace.errors import ConfigError, StoreUnavailable, TelemetryRefused
from headrace.model.connection import NamedConnection

AT = datetime(2026, 7, 1, tzinfo=UTC)
RUN, JOB = UUID(int=1), UUID(int=2)


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def run_row(**more: Any) -> dict[str, Any]:
    known = {
        "id": RUN, "pipeline": "sales", "status": "completed", "trigger": "manual",
        "logical_date": AT, "created_at": AT, "started_at": later(1), "finished_at": later(9),
        "error": None, "parent_run": None, "parent_job": None,
    }  # fmt: skip
    return {**known, **more}


def job_row(**more: Any) -> dict[str, Any]:
    known = {
        "id": JOB, "run_id": RUN, "job_class": "RunSql", "step": "load", "queue": "low",
        "status": "completed", "attempt": 2, "worker": "w", "started_at": later(4),
        "finished_at": later(8), "error": None, "skip_reason": None, "payload": {},
    }  # fmt: skip
    return {**known, **more}


def tried(number: int, outcome: str = "failed", **more: Any) -> dict[str, Any]:
    known = {"attempt": number, "worker": "w", "outcome": outcome, "error": "bad",
             "started_at": later(2), "finished_at": later(3)}  # fmt: skip
    return {**known, **more}


def spans_of(run: EndedRun) -> dict[str, Any]:
    traces = spans.Traces({"endpoint": "http://h"})
    return {one.name: one for one in traces._of_run(run)}


def test_a_span_is_as_long_as_what_it_stands_for_and_says_how_that_ended():
    job = EndedJob(job_row(), [tried(1, "crashed", error=None), tried(0, started_at=None)])
    found = spans_of(EndedRun(run_row(status="failed", error="a step failed"), [job]))

    assert list(found) == ["sales", "load", "attempt 1", "attempt 2"]
    times = {name: (one.start_time, one.end_time) for name, one in found.items()}
    begin = int(AT.timestamp()) * 10**9
    assert {name: [(at - begin) / 10**9 for at in pair] for name, pair in times.items()} == {
        "sales": [1, 9], "load": [2, 8], "attempt 1": [2, 3], "attempt 2": [4, 8],
    }  # fmt: skip
    told = {
        name: (one.status.status_code.name, one.status.description) for name, one in found.items()
    }
    assert told == {
        "sales": ("ERROR", "a step failed"), "load": ("OK", None),
        "attempt 1": ("ERROR", "crashed"), "attempt 2": ("OK", None),
    }  # fmt: skip
    assert found["attempt 1"].parent == found["load"].context
    assert found["load"].parent == found["sales"].context
    assert found["sales"].parent is None
    assert {one.context.trace_id for one in found.values()} == {RUN.int}
    assert dict(found["attempt 2"].attributes) == {
        "headrace.attempt": 2, "headrace.worker": "w", "headrace.outcome": "completed",
    }  # fmt: skip
    assert dict(found["sales"].attributes)["headrace.logical_date"] == AT.isoformat()
    assert "headrace.skip_reason" not in found["load"].attributes


@pytest.mark.parametrize(
    ("outcome", "code", "told"),
    [
        ("failed", "ERROR", "failed"),
        ("timed_out", "ERROR", "timed_out"),
        ("crashed", "ERROR", "crashed"),
        ("completed", "OK", None),
        ("cancelled", "OK", None),
        ("interrupted", "OK", None),
    ],
)
def test_an_attempt_is_an_error_as_it_has_failed(outcome: str, code: str, told: str | None):
    job = EndedJob(job_row(), [tried(1, outcome, error=None)])
    status = spans_of(EndedRun(run_row(), [job]))["attempt 1"].status

    assert (status.status_code.name, status.description) == (code, told)


@pytest.mark.parametrize(
    ("status", "started_at", "numbers"),
    [
        ("completed", later(4), [0, 1, 2]),
        # Its item was left out, or a person has called it done.
        ("completed", None, [0, 1]),
        ("failed", later(4), [0, 1]),
    ],
)
def test_the_attempt_that_has_completed_a_job_is_the_last_one_where_there_was_one(
    status: str, started_at: datetime | None, numbers: list[int]
):
    job = EndedJob(job_row(status=status, started_at=started_at), [tried(0), tried(1)])

    tries = list(job.tries())

    assert [one["attempt"] for one in tries] == numbers
    if len(tries) == 3:
        assert tries[-1] == tried(2, "completed", error=None, started_at=later(4),
                                  finished_at=later(8))  # fmt: skip


def test_a_run_that_never_started_begins_with_its_making_and_names_who_started_it():
    parent = {"parent_run": UUID(int=7), "parent_job": UUID(int=8)}
    row = run_row(started_at=None, finished_at=later(-1), status="cancelled", **parent)
    (only,) = spans_of(EndedRun(row, [EndedJob(job_row(finished_at=None))])).values()

    assert only.start_time == only.end_time == int(AT.timestamp()) * 10**9
    assert [one.context.trace_id for one in only.links] == [7]
    assert only.status.status_code.name == "OK"


def test_a_run_that_ends_again_is_another_span_and_one_that_is_sent_again_is_not():
    ids = [
        spans_of(EndedRun(run_row(finished_at=later(end))))["sales"].context.span_id
        for end in (9, 9, 10)
    ]

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("http://h", "http://h/v1/traces"), ("http://h/", "http://h/v1/traces"),
        ("http://h/own", "http://h/own"),
    ],
)  # fmt: skip
def test_an_endpoint_without_a_path_gets_the_usual_one(given: str, asked: str):
    assert spans.Traces({"endpoint": given})._exporter._endpoint == asked


def test_what_has_no_value_is_no_attribute_and_what_is_no_text_becomes_one():
    row = {"a": None, "b": 1, "c": AT, "d": RUN, "e": "x", "f": 0}

    told = attributes(row, a="A", b="B", c="C", d="D", e="E", f="F")

    assert told == {"B": 1, "C": AT.isoformat(), "D": str(RUN), "E": "x", "F": 0}


# -- lineage --------------------------------------------------------------------------


class Known:
    """What jobs of a class use, by the connection that is asked for."""

    def tables(self, _job_class: str, _payload: Any, connection: str | None) -> Any:
        from headrace.declarations.lint.tables_of_sql import SqlUse

        return SqlUse(reads=frozenset({"a.src"})) if connection == "shop" else SqlUse()


def events(run: EndedRun, **options: Any) -> list[Any]:
    places = {None: "postgres://db:5432/warehouse", "shop": "mysql://s:3306/shop"}
    made = lineage.Lineage({"url": "http://h", **options}, Known(), places)  # type: ignore[arg-type]
    return list(made._of_run(run))


def test_a_table_belongs_to_the_connection_that_its_job_names():
    payload = {"connection": "shop", "sql": "INSERT INTO b.dst SELECT * FROM b.other"}
    of_shop = events(EndedRun(run_row(), [EndedJob(job_row(payload=payload))]))
    elsewhere = {"source_connection": "shop", "target_connection": "gone", "sql": 1}
    copied = events(EndedRun(run_row(), [EndedJob(job_row(payload=elsewhere))]))

    assert [one.eventType.value for one in of_shop] == ["START", "START", "COMPLETE", "COMPLETE"]
    done = of_shop[2]
    assert [(one.namespace, one.name) for one in done.inputs] == [
        ("mysql://s:3306", "shop.a.src"), ("mysql://s:3306", "shop.b.other"),
    ]  # fmt: skip
    assert [one.name for one in done.outputs] == ["shop.b.dst"]
    assert [one.name for one in copied[2].inputs] == ["shop.a.src"]
    assert "sql" not in copied[2].job.facets
    other_way = {"source_connection": "gone", "target_connection": "shop"}
    copied = events(EndedRun(run_row(), [EndedJob(job_row(payload=other_way))]))
    assert [one.name for one in copied[2].inputs] == ["shop.a.src"]
    assert done.run.facets["parent"].job.name == "sales"
    assert {one.job.namespace for one in of_shop} == {"headrace"}
    kinds = [one.job.facets["jobType"].jobType for one in of_shop]
    assert kinds == ["PIPELINE", "STEP", "STEP", "PIPELINE"]


@pytest.mark.parametrize(
    ("status", "state"),
    [("completed", "COMPLETE"), ("failed", "FAIL"), ("cancelled", "ABORT"), ("skipped", "ABORT")],
)
def test_each_end_has_its_state_and_what_never_began_has_no_event(status: str, state: str):
    jobs = [EndedJob(job_row(started_at=None)), EndedJob(job_row(finished_at=None))]
    row = run_row(status=status, started_at=None, error="why")
    begun, ended = events(EndedRun(row, jobs), namespace="nights")

    assert (begun.eventTime, ended.eventType.value) == (AT.isoformat(), state)
    assert ("errorMessage" in ended.run.facets) is (status == "failed")
    assert begun.job.namespace == "nights"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg2://u:p@h/d", "postgres://h:5432/d"),
        ("postgresql://h:6543/d", "postgres://h:6543/d"),
        ("mysql+pymysql://h/d", "mysql://h:3306/d"),
        ("mariadb://h/d", "mariadb://h:3306/d"),
        ("sqlite:////srv/a.db", "sqlite:///srv/a.db"),
        ("postgresql:///d?host=/run", "postgres://:5432/d"),
    ],
)
def test_a_connection_s_place_has_host_port_and_database_and_no_secret(url: str, place: str):
    assert receivers._place(url) == place


def test_each_receiver_of_the_configuration_is_made_and_a_missing_library_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def given(**more: Any) -> Settings:
        return Settings(project=tmp_path, home=tmp_path, pipelines=tmp_path, **more)

    def made(settings: Settings) -> Any:
        return receivers.receivers_of(settings, Known(), "postgresql://h/d")  # type: ignore[arg-type]

    both = given(
        opentelemetry={"endpoint": "http://h"},
        openlineage={"url": "http://h"},
        connections={"shop": NamedConnection("mysql://s/shop")},
    )
    assert list(made(both)) == ["opentelemetry", "openlineage"]
    assert made(both)["openlineage"]._places == {
        None: "postgres://h:5432/d", "shop": "mysql://s:3306/shop",
    }  # fmt: skip
    assert made(given()) == {}

    def absent(*_: Any) -> Any:
        raise ModuleNotFoundError("no")

    monkeypatch.setattr(receivers, "Lineage", absent)
    with pytest.raises(
        ConfigError, match=r"openlineage needs the library openlineage, which is not"
    ):
        made(both)


# -- sending --------------------------------------------------------------------------


class Runs:
    """A database with so many ended runs, and a receiver that takes them or not."""

    def __init__(self, count: int = 1) -> None:
        self.left = [run_row(id=UUID(int=n + 1)) for n in range(count)]
        self.marks: list[dict[str, Any]] = []
        self.begun = 0
        self.refuse: Exception | None = None

    def rows(self, statement: str, **values: Any) -> Any:
        if statement == "runs_to_export":
            return self.left[: values["limit"]]
        if statement == "move_telemetry_mark":
            self.marks.append(values)
            while self.left and self.left[0]["id"] <= values["run"]:
                self.left.pop(0)
        if statement == "begin_telemetry":
            self.begun += 1
        return []

    def export(self, _runs: Any) -> None:
        if self.refuse is not None:
            raise self.refuse


def test_a_refusal_is_said_once_and_tried_less_and_less_often_for_an_hour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    now = [0.0]
    monkeypatch.setattr("headrace.engine.telemetry.exporting.time.monotonic", lambda: now[0])
    both = Runs(2)
    one = Exporting("otel", both, both)  # type: ignore[arg-type]
    both.refuse = TelemetryRefused("no")
    pauses = []
    with caplog.at_level(logging.INFO):
        for _ in range(7):
            assert one.turn() is False
            pauses.append(one.pause_s)
        now[0] = 3599.5
        one.turn()
        assert both.marks == []
        both.refuse = None
        one.turn()
        assert one.pause_s == 1.0
        both.left = [run_row()]
        both.refuse = TelemetryRefused("no")
        one.turn()
        now[0] += 3600
        one.turn()

    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert [mark["run"] for mark in both.marks] == [UUID(int=2), RUN]
    assert both.marks[0]["finished_at"] == later(9)
    first = "otel: no; tried again, jobs are not affected"
    assert caplog.messages == [
        first, "otel takes what is sent again", first,
        "otel: 1 ended runs were not sent, after an hour: no",
    ]  # fmt: skip


def test_a_receiver_is_asked_again_at_once_where_there_may_be_more():
    both = Runs(120)
    one = Exporting("otel", both, both)  # type: ignore[arg-type]

    assert [one.turn() for _ in range(4)] == [True, True, False, False]
    assert [mark["run"].int for mark in both.marks] == [50, 100, 120]


def test_what_goes_wrong_in_a_thread_is_tried_again_later(caplog: pytest.LogCaptureFixture):
    now = [10.0]
    both = Runs(1)
    one = Telemetry({"otel": both}, both, lambda: now[0])  # type: ignore[arg-type]

    def act() -> float:
        one.act()
        one._threads["otel"].join(30)
        return one._next["otel"] - now[0]

    both.refuse = RuntimeError("oh")
    assert act() == 60.0
    assert "otel: ended runs could not be sent; tried again" in caplog.text
    before = one._threads["otel"]
    one.act()
    assert one._threads["otel"] is before
    now[0] += 60
    both.refuse = StoreUnavailable("away")
    one._exports["otel"].pause_s = 1.0
    assert act() == 1.0
    now[0] += 1
    both.refuse = None
    assert act() == 1.0
    assert (both.left, both.begun) == ([], 1)


def test_while_a_receiver_is_being_sent_to_nothing_else_is_sent_to_it():
    goes_on = threading.Event()
    both = Runs(1)
    sent: list[int] = []

    def export(_runs: Any) -> None:
        sent.append(1)
        assert goes_on.wait(60)

    both.export = export  # type: ignore[method-assign]
    one = Telemetry({"otel": both}, both, lambda: 0.0)  # type: ignore[arg-type]
    one.act()
    first = one._threads["otel"]

    one.act()

    assert one._threads["otel"] is first
    goes_on.set()
    first.join(60)
    assert sent == [1]


def test_all_that_has_ended_is_sent_in_one_go():
    both = Runs(120)
    one = Telemetry({"otel": both}, both, lambda: 0.0)  # type: ignore[arg-type]

    one.act()
    one._threads["otel"].join(30)

    assert [mark["run"].int for mark in both.marks] == [50, 100, 120]
