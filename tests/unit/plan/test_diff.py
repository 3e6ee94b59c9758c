"""Differences in meaning between two versions of a pipeline."""

import json
from pathlib import Path

from headrace.declarations.config import Settings
from headrace.declarations.file_places import place_of
from headrace.declarations.one_file import load_text
from headrace.declarations.source import scan
from headrace.model.definition import definition, schedules_of
from headrace.model.pipeline import Pipeline
from headrace.plan.diff import differences
from tests.support.catalogue import SmallCatalogue

BEFORE = """\
name: p
schedule:
  - {cron: "0 1 * * *", timezone: Europe/Berlin, jitter: 30s, start: 2026-01-01}
  - {interval: 15m, catchup: none}
params: {day: {type: date, default: "2026-01-31"}}
steps:
  - {id: a, job: RunSql, timeout: 5m, with: {sql: "SELECT 1"}}
  - {id: b, job: RunSql, depends_on: [a], retry: {limit: 1, delay: 30s}, with: {sql: "SELECT 2"}}
handlers:
  failure: [{id: tell, job: FailedJob}]
"""


def load(text: str) -> Pipeline:
    folder = Path("pipelines")
    loaded = load_text(
        text.encode(), folder / "p.yaml", SmallCatalogue(), Settings(folder, folder, folder)
    )
    assert loaded.problems == []
    assert loaded.pipeline is not None
    return loaded.pipeline


def stored(text: str) -> dict[str, object]:
    """The definition as the database gives it back."""
    kept: dict[str, object] = json.loads(json.dumps(definition(load(text)), allow_nan=False))
    return kept


def changes(after: str) -> list[tuple[str, str, object, object]]:
    found = differences(stored(BEFORE), stored(after))
    return [(one.kind, one.subject, one.old, one.new) for one in found]


def test_order_of_keys_comments_and_layout_are_no_difference() -> None:
    lines = BEFORE.splitlines(keepends=True)
    assert changes("# a comment\n" + "".join(lines[4:] + lines[:4])) == []


def test_each_changed_key_is_told_with_both_values() -> None:
    after = (
        BEFORE.replace('"0 1 * * *"', '"30 1 * * *"')
        .replace("SELECT 2", "SELECT 3")
        .replace("delay: 30s", "delay: 60s")
        .replace("2026-01-31", "2026-02-01")
    )
    assert set(changes(after)) == {
        ("changed", "param day: default", "2026-01-31", "2026-02-01"),
        ("changed", "step b: with.sql", "SELECT 2", "SELECT 3"),
        ("changed", "step b: retry.delay", "30s", "1m"),
        ("changed", "schedule: cron", "0 1 * * *", "30 1 * * *"),
    }


def test_steps_handlers_and_schedules_come_and_go_whole() -> None:
    after = (
        BEFORE.replace("  - {interval: 15m, catchup: none}\n", "")
        .replace('  - {id: a, job: RunSql, timeout: 5m, with: {sql: "SELECT 1"}}\n', "")
        .replace("depends_on: [a], ", "")
        .replace("failure:", "success:")
    )
    told = {(kind, subject) for kind, subject, *_values in changes(after)}
    assert told == {
        ("removed", "step a"),
        ("removed", "step b: depends_on"),
        ("removed", "schedule 2"),
        ("added", "success handler tell"),
        ("removed", "failure handler tell"),
    }


def test_a_stored_schedule_fires_as_the_file_does() -> None:
    working = "timezone: Europe/Berlin, calendar: {days: working, country: DE}"
    text = BEFORE.replace("timezone: Europe/Berlin", working)
    assert schedules_of(stored(text)) == load(text).schedules


def test_a_change_stands_at_its_place_or_at_that_of_the_defaults() -> None:
    text = BEFORE.replace("name: p\n", "name: p\ndefaults: {queue: low}\n")
    document, _ = scan(text, "p.yaml")
    assert document is not None
    assert place_of(document, ("steps", "b", "with", "sql")) == (9, 86)
    assert place_of(document, ("steps", "b", "queue")) == (2, 19)
    assert place_of(document, ("steps", "gone")) == (8, 3)
    assert place_of(document, ("schedule", 1, "catchup")) == (5, 30)
    assert place_of(document, ("handlers", "failure", "tell", "job")) == (11, 29)


def test_what_a_step_takes_from_a_template_stands_in_the_template() -> None:
    text = (
        "name: p\ntemplates:\n  count:\n    params: {table: {type: string}}\n"
        "    step:\n      job: RunSql\n      with: {sql: SELECT 1}\n"
        "steps:\n  - {id: a, template: count, with: {table: t}}\n"
    )
    document, _ = scan(text, "p.yaml")
    assert document is not None
    assert place_of(document, ("steps", "a", "with", "sql")) == (7, 19)
    assert place_of(document, ("steps", "a")) == (9, 5)
