"""The text of /metrics: written in blocks, compressed in parts, in two formats."""

import gzip
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from headrace.errors import StoreUnavailable
from headrace.observe.exposition import Metrics, accepts_gzip
from headrace.observe.text_parts import Part, gzipped, joined

NOW = {"now": 0, "until": 0, "behind": False}


class Rows:
    """A database of which each statement has rows of the test's choice."""

    def __init__(self, pipelines: list[str]) -> None:
        self.found: dict[str, Any] = {
            "totals_behind": [NOW],
            "declared_pipelines": [{"names": pipelines}],
        }
        self.away = False

    def rows(self, statement: str, **values: Any) -> Any:
        if self.away:
            raise StoreUnavailable("away")
        found = self.found.get(statement, [])
        if statement == "changed_pipeline_totals":
            return [row for row in found if row["number"] > values["after"]]
        return found


class Queues:
    def lengths(self, queues: Any) -> dict[str, int]:
        return dict.fromkeys(queues, 3)


def metrics_of(rows: Rows) -> Metrics:
    return Metrics(rows, Queues(), ("high",))


def total(pipeline: str, completed: int, number: int) -> dict[str, Any]:
    return {"pipeline": pipeline, "jobs": [completed, 0, 0, 0], "runs": [1, 2, 3, 4],
            "number": number}  # fmt: skip


def value(text: str, line: str) -> str:
    return next(one for one in text.splitlines() if one.startswith(line)).rpartition(" ")[2]


def test_parts_are_compressed_as_one_gzip_file():
    parts = [Part("first\n"), Part(""), Part("ü" * 100_000), Part("first\n")]

    assert gzip.decompress(gzipped(parts)) == joined(parts)
    assert gzip.decompress(gzipped([])) == b""


def test_totals_are_read_by_their_changes_and_shown_for_each_pipeline():
    rows = Rows([f"p{n:03}" for n in range(600)])
    metrics = metrics_of(rows)
    rows.found["changed_pipeline_totals"] = [total("p000", 5, 1), total("", 7, 1)]
    first = metrics.exposition().body.decode()
    rows.found["changed_pipeline_totals"] = [total("p599", 9, 2), total("gone", 4, 3)]
    second = metrics.exposition().body.decode()

    jobs = 'headrace_jobs_finished_total{pipeline="%s",status="completed"}'
    assert [value(first, jobs % name) for name in ("", "p000", "p599")] == ["7.0", "5.0", "0.0"]
    assert [value(second, jobs % name) for name in ("", "p000", "p599", "gone")] == [
        "7.0", "5.0", "9.0", "4.0",
    ]  # fmt: skip
    assert value(second, 'headrace_runs_finished_total{pipeline="p599",status="skipped"}') == "4.0"


def test_only_blocks_with_changed_numbers_are_written_anew():
    rows = Rows([f"p{n:04}" for n in range(2000)])
    metrics = metrics_of(rows)
    metrics.exposition("", "gzip")
    before = list(metrics._of_pipelines(is_open=False))
    rows.found["changed_pipeline_totals"] = [total("p1000", 1, 1)]
    after = list(metrics._of_pipelines(is_open=False))

    assert len(before) > 40
    # One block of jobs and one of runs. Both lists live: no id is given out again.
    assert len({id(part) for part in after} - {id(part) for part in before}) == 2


def test_a_schedule_that_is_overdue_paused_or_has_skipped_says_so_while_it_is():
    rows = Rows(["late", "fine"])
    metrics = metrics_of(rows)
    row = {"pipeline": "late", "paused": True, "skipped": 3, "overdue_s": 61.5}
    rows.found["unusual_schedules"] = [row]
    found = metrics.exposition().body.decode()
    rows.found["unusual_schedules"] = []
    later = metrics.exposition().body.decode()

    assert value(found, 'headrace_schedule_overdue_seconds{pipeline="late"}') == "61.5"
    assert value(found, 'headrace_schedule_skipped_total{pipeline="late"}') == "3.0"
    assert value(found, 'headrace_schedule_paused{pipeline="late"}') == "1.0"
    assert value(found, 'headrace_schedule_paused{pipeline="fine"}') == "0.0"
    assert value(later, 'headrace_schedule_overdue_seconds{pipeline="late"}') == "0.0"


def test_a_paused_pipeline_whose_file_is_removed_before_its_first_run_has_no_lines_any_more():
    rows = Rows(["gone", "fine"])
    metrics = metrics_of(rows)
    row = {"pipeline": "gone", "paused": True, "skipped": 0, "overdue_s": 0.0}
    rows.found["unusual_schedules"] = [row]
    metrics.exposition()
    rows.found["declared_pipelines"] = [{"names": ["fine"]}]

    later = metrics.exposition().body.decode()

    assert 'pipeline="fine"' in later
    assert 'pipeline="gone"' not in later


@pytest.mark.parametrize(
    ("accept", "read"),
    [("", families), ("application/openmetrics-text;version=1.0.0", open_families)],
)
def test_names_of_pipelines_with_quotes_can_be_read(accept: str, read: Any):
    told = metrics_of(Rows(['a "quoted" \\ name'])).exposition(accept)

    labels = {
        sample.labels.get("pipeline")
        for family in read(told.body.decode())
        for sample in family.samples
    }
    assert 'a "quoted" \\ name' in labels


def test_while_postgresql_is_away_redis_and_up_are_told():
    rows = Rows(["p"])
    rows.away = True
    text = metrics_of(rows).exposition().body.decode()

    assert value(text, 'headrace_up{server="postgresql"}') == "0.0"
    assert value(text, 'headrace_up{server="redis"}') == "1.0"
    assert value(text, 'headrace_queue_messages{queue="high"}') == "3.0"
    assert "jobs_finished" not in text


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip; q=0", False), ("br", False), ("", False)],
)
def test_an_answer_is_compressed_where_the_request_takes_it(header: str, accepted: bool):
    assert accepts_gzip(header) is accepted
    told = metrics_of(Rows([])).exposition("", header)
    assert told.encoding == ("gzip" if accepted else None)
