from typing import Any

import pytest
from sqlalchemy import text

from headrace.errors import InvalidPayload, JobFailure
from headrace.jobapi import dispatching
from headrace.jobs.base import BaseJob, class_name, get_db, logger
from headrace.jobs.data_aggregation import DataAggregation
from headrace.jobs.fibonacci import Fibonacci


class SeedJob(BaseJob):
    """As the seed writes it."""

    def __init__(self, table: str, **kwargs):
        super().__init__(**kwargs)
        self.table = table

    def handle(self):
        logger.info(f"Truncating table {self.table}")
        with get_db() as session:
            session.execute(text(f"TRUNCATE TABLE {self.table} RESTART IDENTITY CASCADE;"))


class DataImportJob(BaseJob):
    """As the seed sketches it."""

    def handle(self, args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return args, kwargs


class Recorder:
    def __init__(self) -> None:
        self.dispatched: list[tuple[str, Any, dict[str, Any]]] = []

    def dispatch(self, job_class: str, payload: Any, **options: Any) -> str:
        self.dispatched.append((job_class, payload, options))
        return "the-id"


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr(dispatching, "_dispatcher", [recorder])
    return recorder


def test_a_job_written_as_the_seed_writes_it_is_made_unchanged():
    job = SeedJob(table="auth.users", connection="warehouse")

    assert (job.table, job.connection) == ("auth.users", "warehouse")
    assert job.payload == {"table": "auth.users", "connection": "warehouse"}


def test_a_handle_that_takes_arguments_is_given_the_payload():
    job: BaseJob = DataImportJob(source="api", target="warehouse")

    args, kwargs = job.handle()

    assert args == kwargs == {"source": "api", "target": "warehouse"}
    assert DataImportJob.any_parameters


def test_an_unknown_parameter_is_refused_with_a_guess():
    with pytest.raises(InvalidPayload, match=r'no parameter "tabel".*did you mean "table"'):
        SeedJob(table="a", tabel="b")


def test_dispatch_passes_everything_on_and_returns_the_id(recorder):
    made = Fibonacci.dispatch(n=10, queue="low", depends_on=["a"], timeout=5, idempotency_key="k")

    name, payload, options = recorder.dispatched[0]
    assert made == "the-id"
    assert (name, payload) == ("Fibonacci", {"n": 10})
    assert options["queue"] == "low"
    assert options["depends_on"] == ["a"]
    assert options["timeout"] == 5
    assert options["idempotency_key"] == "k"


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ({}, 'needs the parameter "n"'),
        ({"n": 1, "m": 2}, 'no parameter "m"'),
        ({"n": object()}, "do not fit JSON"),
        ({"n": float("nan")}, "do not fit JSON"),
        ({"n": b"\xff"}, "do not fit JSON"),
        ({"n": ["a\0b"]}, "cannot be stored: a text has a NUL or half a surrogate pair"),
        ({"n": {"\ud800": 1}}, "cannot be stored: a text has a NUL"),
    ],
)
def test_a_dispatch_that_cannot_work_is_refused_before_a_row_exists(recorder, payload, told):
    with pytest.raises(InvalidPayload, match=told):
        Fibonacci.dispatch(**payload)

    assert not recorder.dispatched


def test_classes_in_jobs_have_short_names_and_others_dotted_ones():
    assert class_name(Fibonacci) == "Fibonacci"
    assert class_name(SeedJob) == f"{__name__}.SeedJob"


def test_parameters_include_those_of_the_base_class():
    parameters = DataAggregation.init_parameters()

    assert list(parameters)[:2] == ["table", "group_by"]
    assert parameters["connection"].default is None
    assert parameters["table"].required


def test_a_session_outside_a_job_is_refused():
    with pytest.raises(JobFailure, match="no job is running"), get_db():
        pass
