"""Traces and lineage events of ended runs, sent to a receiver in this process."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.operations.totals import count_all
from headrace.engine.telemetry import exporting, receivers
from headrace.engine.telemetry.exporting import Exporting
from headrace.engine.telemetry.lineage import Lineage
from headrace.engine.telemetry.spans import Traces
from headrace.errors import ConfigError
from headrace.model.ids import new_id
from tests.support.rows import Rows
from tests.support.telemetry import Receiver, receiving


@pytest.fixture
def rows(database: str) -> Iterator[Rows]:
    made = Rows(database)
    made.database.rows("begin_telemetry", receivers=["opentelemetry", "openlineage"])
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def traces(rows: Rows, receiver: Receiver) -> Exporting:
    options = {"endpoint": receiver.url, "headers": {"Authorization": "Bearer t"}}
    return Exporting("opentelemetry", Traces(options), rows.database)


def lineage(rows: Rows, receiver: Receiver) -> Exporting:
    options = {"url": receiver.url, "api_key": "k", "namespace": "nights"}
    places: dict[str | None, str] = {None: "postgres://db:5432/warehouse"}
    return Exporting("openlineage", Lineage(options, Registry(), places), rows.database)


def ended_run(rows: Rows, status: str = "completed", **jobs: dict[str, Any]) -> UUID:
    run = new_id()
    rows.sql(
        "INSERT INTO headrace.run (id, pipeline, version, status, trigger, logical_date, plan,"
        " started_at, finished_at, error) VALUES (%(id)s, 'sales', '1', %(status)s, 'manual',"
        " '2026-07-01', '{}', clock_timestamp() - interval '9 s', clock_timestamp(), %(error)s)",
        id=str(run), status=status, error="it failed" if status == "failed" else None,
    )  # fmt: skip
    for step, job in jobs.items():
        _insert_job(rows, run, step, job)
    count_all(rows.database)
    return run


def _insert_job(rows: Rows, run: UUID, step: str, given: dict[str, Any]) -> None:
    job = {"id": str(new_id()), "job_class": "RunSql", "payload": "{}", "status": "completed",
           "attempt": 1, "since": "2 s", "error": None, "skip_reason": None}  # fmt: skip
    job |= given
    rows.sql(
        "INSERT INTO headrace.job (id, job_class, payload, status, queue, timeout_s, retry,"
        " run_id, pipeline, step, attempt, worker, started_at, finished_at, error, skip_reason)"
        " VALUES (%(id)s, %(job_class)s, %(payload)s, %(status)s, 'medium', 1, '{}', %(run)s,"
        " 'sales', %(step)s, %(attempt)s, 'w1', clock_timestamp() - %(since)s::interval,"
        " clock_timestamp(), %(error)s, %(skip_reason)s)",
        **job, run=str(run), step=step,
    )  # fmt: skip


def attempt_failed(rows: Rows, job: str, number: int) -> None:
    rows.sql(
        "INSERT INTO headrace.job_attempt (job_id, attempt, outcome, worker, started_at, error)"
        " VALUES (%(job)s, %(number)s, 'failed', 'w1', clock_timestamp() - interval '5 s', 'bad')",
        job=job,
        number=number,
    )


def test_a_run_is_a_trace_of_its_steps_and_their_attempts(rows: Rows, receiver: Receiver):
    job = str(new_id())
    attempt_failed(rows, job, 1)
    skipped = {"status": "skipped", "skip_reason": "condition", "since": None, "attempt": 0}
    run = ended_run(rows, load={"id": job, "attempt": 2}, off=skipped)

    assert traces(rows, receiver).turn() is False

    spans = receiver.of_run(str(run))
    assert set(spans) == {"sales", "load", "off", "attempt 1", "attempt 2"}
    assert spans["load"].parent_span_id == spans["sales"].span_id
    assert spans["attempt 1"].parent_span_id == spans["load"].span_id
    assert spans["attempt 2"].parent_span_id == spans["load"].span_id
    assert (spans["attempt 1"].status.code, spans["attempt 1"].status.message) == (2, "bad")
    assert spans["attempt 2"].status.code == spans["sales"].status.code == 1
    assert spans["sales"].end_time_unix_nano - spans["sales"].start_time_unix_nano >= 9e9
    assert spans["load"].start_time_unix_nano == spans["attempt 1"].start_time_unix_nano
    told = {one.key: one.value.string_value for one in spans["load"].attributes}
    assert (told["headrace.job.id"], told["headrace.step"]) == (job, "load")
    assert receiver.resources[0]["service.name"] == "headrace"
    assert receiver.headers[0]["authorization"] == "Bearer t"


def test_lineage_has_runs_jobs_and_the_tables_that_they_use(rows: Rows, receiver: Receiver):
    sql = '{"sql": "INSERT INTO mart.totals SELECT sum(n) FROM staging.orders"}'
    run = ended_run(
        rows, "failed",
        totals={"payload": sql},
        clear={"job_class": "TruncateTable", "payload": '{"table": "staging.orders"}',
               "status": "failed", "error": "no right"},
    )  # fmt: skip

    lineage(rows, receiver).turn()

    events = receiver.about(str(run))
    told = [(one["job"]["name"], one["eventType"]) for one in events]
    assert told == [
        ("sales", "START"), ("sales.totals", "START"), ("sales.totals", "COMPLETE"),
        ("sales.clear", "START"), ("sales.clear", "FAIL"), ("sales", "FAIL"),
    ]  # fmt: skip
    totals, clear = events[2], events[4]
    place = "postgres://db:5432"
    assert totals["inputs"][0]["name"] == "warehouse.staging.orders"
    assert totals["outputs"][0]["namespace"] == place
    assert totals["outputs"][0]["name"] == "warehouse.mart.totals"
    assert totals["job"]["facets"]["sql"]["query"].startswith("INSERT INTO mart")
    assert clear["outputs"][0]["name"] == "warehouse.staging.orders"
    assert clear["run"]["facets"]["errorMessage"]["message"] == "no right"
    assert {one["job"]["namespace"] for one in events} == {"nights"}
    assert events
    assert all(one["producer"].startswith("urn:headrace:") for one in events)
    assert receiver.headers[0]["authorization"] == "Bearer k"
    assert receiver.headers[0]["path"] == "/api/v1/lineage"


@pytest.mark.parametrize("make", [traces, lineage])
def test_a_receiver_that_was_away_gets_what_it_has_missed_once(
    rows: Rows, receiver: Receiver, make: Any
):
    one = make(rows, receiver)
    first = ended_run(rows)
    receiver.status = 400
    assert one.turn() is False
    assert receiver.refused
    assert one.pause_s > 1
    second = ended_run(rows)
    receiver.status = 200

    for _ in range(3):
        one.turn()

    for run in (first, second):
        found = receiver.of_run(str(run)) or receiver.about(str(run))
        assert found
    assert len(receiver.spans) + len(receiver.events) == (2 if make is traces else 4)
    assert one.pause_s == 1


def test_runs_that_a_receiver_never_takes_are_given_up_and_said(
    rows: Rows, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: Any
):
    monkeypatch.setattr(exporting, "_PATIENCE_S", -1.0)
    one = traces(rows, receiver)
    ended_run(rows)
    receiver.status = 400
    one.turn()
    assert "1 ended runs were not sent" in caplog.text

    receiver.status = 200
    run = ended_run(rows)
    one.turn()
    assert receiver.of_run(str(run))


def test_more_runs_than_one_request_holds_are_sent_in_their_order(
    rows: Rows, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "_AT_ONCE", 2)
    runs = [ended_run(rows) for _ in range(5)]
    one = traces(rows, receiver)
    while one.turn():
        pass

    assert [span.trace_id for span in receiver.spans] == [run.bytes for run in runs]


def test_what_is_missing_for_a_receiver_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    def absent(*_: Any) -> Any:
        raise ModuleNotFoundError("no", name="opentelemetry.exporter")

    monkeypatch.setattr(receivers, "Traces", absent)
    settings = Settings(
        project=tmp_path, home=tmp_path, pipelines=tmp_path, opentelemetry={"endpoint": "http://h"}
    )

    with pytest.raises(ConfigError, match=r"pip install 'headrace\[otel\]'"):
        receivers.receivers_of(settings, Registry(), "postgresql://h/d")
