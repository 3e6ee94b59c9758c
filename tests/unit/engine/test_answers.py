"""What the engine makes of answers and types that seldom come: given here, without a database."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.result_form import NoForm, as_text, from_text
from headrace.engine.explain import affected_relations, forecasts, unknown_value
from headrace.engine.explain.affected_relations import with_touched
from headrace.engine.explain.connection_faults import faults_of_connections
from headrace.engine.explain.given_params import faults_of_given
from headrace.engine.explain.sql_preview import PreviewedJob
from headrace.engine.explain.step_shapes import of_argument
from headrace.engine.planning.template_context import holds, steps_context
from headrace.engine.scheduling.trigger_params import trigger_text
from headrace.errors import ConfigError, JobFailure, StoreUnavailable, UnknownJobClass
from headrace.jobapi import logger
from headrace.model.connection import NamedConnection
from headrace.model.forecast import FileForecast, Forecast, TableForecast
from headrace.model.pipeline import Param, Pipeline, PipelineTrigger
from headrace.store.explain import Fault
from headrace.template import Preview, RenderedSql
from headrace.template.shapes import mapping_of, of_param


@dataclass
class Driver(Exception):
    """An error as the database's driver has it."""

    pgcode: str | None
    text: str = "the server's words"

    def __str__(self) -> str:
        return self.text


class Wrapped(Exception):
    """An error as SQLAlchemy has it around the driver's."""

    def __init__(self, orig: Driver) -> None:
        super().__init__(str(orig))
        self.orig = orig


def forecast(does: Callable[[], Any], timeout_s: float = 60, **job: Any) -> forecasts.ForecastJob:
    made = SimpleNamespace(forecast=does)
    registry: Any = SimpleNamespace(make=lambda _job, _payload: made)
    rolled: list[None] = []
    sessions: Any = SimpleNamespace(roll_back=lambda: rolled.append(None), step_role="before")
    known: dict[str, Any] = {
        "late": False,
        "foreach": None,
        "payload": {},
        "step": "load",
        "job_class": "X",
    }
    planned: Any = SimpleNamespace(**(known | job))
    found = forecasts._of_job(planned, registry, sessions, timeout_s)
    if not job:
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert rolled, "what was looked at is left"
    return found


def raising(error: BaseException) -> Callable[[], Any]:
    def does() -> Any:
        raise error

    return does


@pytest.mark.parametrize(
    ("error", "unknown", "fails"),
    [
        (ConfigError("it is not up"), "it is not up", None),
        (StoreUnavailable("it is down"), "it is down", None),
        (JobFailure("the file is gone"), None, "the file is gone"),
        (ValueError("odd"), "ValueError: odd", None),
        (Wrapped(Driver("57014")), "it took longer than 60 s", None),
        *((Wrapped(Driver(code)), "words", None) for code in ("42501", "55P03", "25006", "55000")),
        (Driver("42501"), "words", None),
        (Wrapped(Driver("42P01")), None, "words"),
        (Wrapped(Driver(None, "broken pipe")), "", None),
    ],
)
def test_why_there_is_no_forecast_is_told_apart_from_why_the_job_would_fail(
    error: Exception, unknown: str | None, fails: str | None
) -> None:
    found = forecast(raising(error))
    assert found.forecast is None
    assert (found.unknown is None, found.fails is None) == (unknown is None, fails is None)
    assert (unknown or fails or "") in (found.unknown or found.fails or "")


def test_a_forecast_that_takes_too_long_is_ended_although_the_job_catches_all() -> None:
    def does() -> Any:
        while True:
            with suppress(Exception):
                time.sleep(60)

    assert forecast(does, 0.01).unknown == "it took longer than 0.01 s"


def test_what_only_the_start_of_a_step_tells_has_no_forecast() -> None:
    starts = "known when the step starts"
    assert forecast(raising(AssertionError()), late=True).unknown == starts
    assert forecast(raising(AssertionError()), foreach={"items": []}).unknown == starts
    assert forecast(lambda: None).unknown == starts


def test_what_a_job_warns_of_becomes_a_note_and_reaches_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def does() -> Forecast:
        logger.warning("%d rows are odd", 3)
        logger.info("not this")
        return Forecast(read=5, notes=("first",))

    before = list(logger.handlers)
    found = forecast(does).forecast
    assert found is not None
    assert (found.read, found.notes) == (5, ("first", "3 rows are odd"))
    assert caplog.messages == []
    assert logger.propagate
    assert logger.handlers == before


def test_the_steps_before_are_named_in_their_order() -> None:
    def job(step: str, *above: str) -> SimpleNamespace:
        return SimpleNamespace(step=step, depends_on=above)

    plan: Any = SimpleNamespace(jobs=(job("a"), job("b", "a"), job("c", "b"), job("d", "c", "a")))
    above = forecasts._above(plan)
    assert above == {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["a", "b", "c"]}

    def note(step: str, **known: Any) -> Any:
        found = forecasts._with_notes(forecasts.ForecastJob(step, **known), above[step])
        return found.forecast and found.forecast.notes

    known = Forecast(notes=("first",))
    assert note("a", forecast=known) == ("first",)
    assert note("b", forecast=known) == ("first", "as the data is before a has run")
    assert note("c") == ("as the data is before a, b have run",)
    assert note("c", unknown="known when the step starts") is None


def test_a_program_is_given_all_of_a_forecast() -> None:
    tables = (TableForecast("s.t", 1, 2, 3, 4, True, ("a int",), ("drops x",)),)
    files = (FileForecast("a.csv", 7, "old"),)
    found = forecasts.ForecastJob("a", Forecast(tables, files, 9, ("note",), "too long"))
    assert found.as_json() == {
        "tables": [
            {
                "table": "s.t",
                "insert": 1,
                "update": 2,
                "delete": 3,
                "restore": 4,
                "creates": True,
                "add_columns": ["a int"],
                "changes": ["drops x"],
            }
        ],
        "files": [{"name": "a.csv", "size_bytes": 7, "skipped": "old"}],
        "rows_read": 9,
        "notes": ["note"],
        "unknown": None,
        "fails": "too long",
    }
    assert forecasts.ForecastJob("a", fails="no").as_json()["fails"] == "no"


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([("s.a",), ("s.b",)], "first; it empties s.a, s.b"),
        ([], "first"),
        (Fault("42P01", "x", "y"), "first; it empties what its database knows of, which does not"),
        (None, "first; it empties what its database knows of, which does not answer now"),
    ],
)
def test_the_tables_that_a_statement_touches_are_named_as_far_as_they_are_known(
    monkeypatch: pytest.MonkeyPatch, rows: Any, note: str
) -> None:
    explainer = None if rows is None else SimpleNamespace(rows=lambda *_: rows)
    closed: list[None] = []
    asking = SimpleNamespace(explainer=lambda _: explainer, close=lambda: closed.append(None))
    monkeypatch.setattr(affected_relations, "_explaining", lambda *_: asking)
    sql = RenderedSql("TRUNCATE t", {})
    asks = Preview(sql, note="first", touches=sql, touching="it empties")
    plain, given = Preview(sql, note="as it is"), PreviewedJob("b", (Preview(sql),))
    none: Any = None

    jobs = [PreviewedJob("a", (asks, plain)), given]
    found = list(with_touched(jobs, none, none, none))

    assert found[0].statements[0].note.startswith(note)
    assert found[0].statements[1] is plain
    assert found[1] is given
    assert len(closed) == 1


def test_a_connection_that_a_job_cannot_use_is_told(tmp_path: Any) -> None:
    connections = {
        "till": NamedConnection("sqlite:////x.db"),
        "dwh": NamedConnection("postgresql://h/d"),
    }
    settings = Settings(tmp_path, tmp_path, tmp_path, connections=connections)
    kind = Registry().get("TruncateTable")

    def faults(name: Any) -> list[tuple[str, str, str]]:
        found = faults_of_connections(kind, {"connection": name}, settings)
        return [(code, message, hint) for _, code, message, hint in found]

    assert faults("dwh") == faults(None) == faults(unknown_value.UNTOUCHABLE) == []
    ((code, message, hint),) = faults("gone")
    assert (code, message) == ("unknown-connection", 'uses an unknown connection "gone"')
    assert hint == "name it under `connections` in config.yaml"
    ((code, message, hint),) = faults("till")
    told = 'connection "till" is SQLite, and TruncateTable works in PostgreSQL only'
    assert (code, message) == ("other-database", told)
    assert hint == "docs/guide/databases.md lists what works in other databases"


def test_what_a_pipeline_is_given_is_held_to_its_parameters() -> None:
    params = (
        Param("n", type="integer", max=5),
        Param("d", type="date"),
        Param("l", type="list", enum=("a",)),
    )
    target = Pipeline("child", "c.yaml", "/", "v", (), params=params)

    def faults(known: dict[str, Any], **samples: Any) -> list[tuple[str, str]]:
        return list(faults_of_given(target, known, samples))

    assert faults({"n": 5, "d": "2026-01-02", "l": ["a"], "other": object()}) == []
    assert faults({"n": None, "d": unknown_value.UNTOUCHABLE}) == []
    assert [name for name, _ in faults({"n": 6, "d": "x", "l": ["b"]})] == ["n", "d", "l"]
    unknown: dict[str, Any] = {
        "n": unknown_value.UNTOUCHABLE,
        "d": unknown_value.UNTOUCHABLE,
        "l": 1,
    }
    assert faults(unknown, n=1.5, d="any text", other=1)[-1] == (
        "n",
        "is of another type than integer",
    )
    assert [name for name, _ in faults({"n": unknown_value.UNTOUCHABLE}, n=3)] == []


def test_an_argument_that_is_partly_a_template_has_a_shape_in_each_part() -> None:
    variables = {"params": mapping_of({"n": of_param({"type": "integer"})}, "params")}
    found = of_argument({"a": "{{ params.n }}", "b": [1, "{{ params.n }}"]}, variables)
    assert found.members is not None
    assert (found.members["a"].kind, found.members["b"].kind) == ("a number", "a list")
    assert found.members["b"].item is not None
    assert found.members["b"].item.kind == "a number"
    assert of_argument({"a": 1}, variables).members is not None


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff",
        {1: "a", None: ["b"]},
        {"": "a kind of its own"},
        datetime(2026, 1, 2, 3, tzinfo=UTC),
        datetime(2026, 1, 2, 3),
        ("a", (1,)),
    ],
)
def test_a_result_that_is_remembered_comes_back_as_it_was(value: Any) -> None:
    found = from_text(as_text(value))
    assert found == value or found == list(value)


def test_what_has_no_form_is_not_remembered_and_what_is_damaged_not_believed() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), endless, {"a": {1, 2}}):
        with pytest.raises(NoForm):
            as_text(value)
    for text in ("{", '{"": "no such kind"}', '{"": "date"}', '{"": "Problem"}', "[" * 100_000):
        with pytest.raises(ValueError, match=r".|^$"):
            from_text(text)


def test_no_condition_holds_and_steps_without_items_have_completed() -> None:
    assert holds({"when_expr": None})
    assert steps_context({}, ["each"]) == {
        "each": {"status": "completed", "result": [], "error": None}
    }
    jobs = {
        f"each[{at}]": {"status": status, "result": at, "error": error}
        for at, status, error in (
            (0, "completed", None),
            (1, "cancelled", "e1"),
            (10, "failed", "e"),
        )
    }
    assert steps_context(jobs, None)["each"] == {
        "status": "failed",
        "result": [0, 1, 10],
        "error": "e1",
    }


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (PipelineTrigger(("a",)), "after a"),
        (PipelineTrigger(("a",), on="failed"), "after a failed"),
        (
            PipelineTrigger(("a", "b", "c"), on="ended", window_s=7200),
            "after a, b and c ended within 2h",
        ),
    ],
)
def test_a_trigger_is_said_as_a_person_says_it(trigger: PipelineTrigger, text: str) -> None:
    assert trigger_text(trigger) == text


def test_jobs_that_nobody_knows_have_no_properties_and_hide_nothing() -> None:
    registry = Registry()
    assert not registry.referring("Nope")
    assert not registry.in_sql("Nope")
    assert not registry.kept_as_text("Nope")
    assert not registry.kept_digits("Nope")
    assert registry.result_keys("Nope") is None
    assert not registry.begins_at_once("Nope", {})
    assert not registry.begins_at_once("RunSql", {"connection": "dwh"})
    assert not registry.begins_at_once("RunSql", {"transaction": False})
    for path, told in (
        ("jobs.nothing.Here", "cannot be imported"),
        ("headrace.jobs.run_sql.NoSuch", "cannot be imported"),
    ):
        with pytest.raises(UnknownJobClass, match=told):
            registry.get(path)
