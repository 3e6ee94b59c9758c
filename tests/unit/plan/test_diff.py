"""Differences in meaning between two versions of a pipeline."""

import json
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.file_places import place_of
from headrace.declarations.one_file import load_text
from headrace.declarations.source import scan
from headrace.model.definition import definition, schedules_of
from headrace.model.notifications import Notifications, Receiver
from headrace.model.pipeline import Pipeline
from headrace.plan.diff import Change, differences
from tests.conformance.test_every_key import keys
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


FOLDER = Path("pipelines")
SETTINGS = Settings(
    FOLDER,
    FOLDER,
    FOLDER,
    pools={"narrow": 1},
    notifications=Notifications(
        receivers={
            name: Receiver(name, "webhook", "https://hooks.example.com/x")
            for name in ("pager", "post")
        }
    ),
)


def load(text: str) -> Pipeline:
    loaded = load_text(text.encode(), FOLDER / "p.yaml", SmallCatalogue(), SETTINGS)
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


PLAIN = """\
name: p
params: {day: {type: integer}}
steps:
  - {id: a, job: RunSql, with: {sql: "SELECT 1"}}
  - {id: b, job: RunSql, depends_on: [a], with: {sql: "SELECT 2"}}
"""
# A key with two values of it; `None`: it is left out.
TOP = {
    "description": ("one", "two"),
    "schedule": (None, "{interval: 15m}"),
    "trigger": (None, "{pipelines: [q]}"),
    "concurrency": (None, "{limit: 2}"),
    "notify": (None, "{to: [pager]}"),
    "deadline": ("2h", "3h"),
    "expected_duration": (None, "30m"),
    "schedule.cron": ('{cron: "0 1 * * *"}', '{cron: "0 2 * * *"}'),
    "schedule.interval": ("{interval: 15m}", "{interval: 20m}"),
    "schedule.timezone": ("{interval: 15m}", "{interval: 15m, timezone: Europe/Berlin}"),
    "schedule.catchup": ("{interval: 15m}", "{interval: 15m, catchup: none}"),
    "schedule.catchup_window": ("{interval: 15m}", "{interval: 15m, catchup_window: 1d}"),
    "schedule.start_deadline": ("{interval: 15m}", "{interval: 15m, start_deadline: 10m}"),
    "schedule.jitter": ("{interval: 15m}", "{interval: 15m, jitter: 30s}"),
    "schedule.start": ("{interval: 15m}", "{interval: 15m, start: 2026-01-01}"),
    "schedule.end": ("{interval: 15m}", "{interval: 15m, end: 2027-01-01}"),
    "schedule.calendar": ("{interval: 15m}", "{interval: 15m, calendar: {days: working}}"),
    "trigger.pipelines": ("{pipelines: [q]}", "{pipelines: [q, r]}"),
    "trigger.window": ("{pipelines: [q]}", "{pipelines: [q], window: 3h}"),
    "trigger.on": ("{pipelines: [q]}", "{pipelines: [q], on: failed}"),
    "trigger.with": ("{pipelines: [q]}", "{pipelines: [q], with: {day: 1}}"),
    "concurrency.limit": ("{limit: 2}", "{limit: 3}"),
    "concurrency.on_conflict": ("{limit: 2}", "{limit: 2, on_conflict: skip}"),
    "concurrency.group": ("{limit: 2}", "{limit: 2, group: night}"),
    "notify.on": ("{to: [pager]}", "{to: [pager], on: [success]}"),
    "notify.to": ("{to: [pager]}", "{to: [pager, post]}"),
}
CALENDAR = {
    "days": ("country: DE", "country: DE, days: holidays"),
    "country": ("days: working", "days: working, country: DE"),
    "subdivision": ("country: DE", "country: DE, subdivision: BY"),
    "dates": ("days: working", "days: working, dates: [2026-12-31]"),
}
STEP = {
    "description": (None, "two"),
    "job": ("RunSql", "SlowQuery"),
    "pipeline": (None, None),
    "depends_on": ("[a]", None),
    "trigger_rule": (None, "all_done"),
    "when": (None, '"{{ params.day == 1 }}"'),
    "allow_failure": (None, "true"),
    "foreach": (None, "{items: [1]}"),
    "queue": (None, "low"),
    "pool": (None, "narrow"),
    "with": ("{sql: SELECT 1}", "{sql: SELECT 2}"),
    "retry": (None, "{limit: 2}"),
    "timeout": (None, "5m"),
    "deadline": (None, "1h"),
    "expected_duration": ("1h", "2h"),
    "env": (None, "{A: b}"),
    "foreach.items": ("{items: [1]}", "{items: [2]}"),
    "foreach.as": ("{items: [1]}", "{items: [1], as: one}"),
    "foreach.max_concurrent": ("{items: [1]}", "{items: [1], max_concurrent: 2}"),
    "retry.limit": ("{limit: 2}", "{limit: 3}"),
    "retry.delay": ("{limit: 2}", "{limit: 2, delay: 3s}"),
    "retry.factor": ("{limit: 2}", "{limit: 2, factor: 7}"),
    "retry.max_delay": ("{limit: 2}", "{limit: 2, max_delay: 1h}"),
    "retry.jitter": ("{limit: 2}", "{limit: 2, jitter: true}"),
    "retry.when": ("{limit: 2}", "{limit: 2, when: [connection]}"),
}
PARAM = {
    "type": ("{type: integer}", "{type: number}"),
    "required": ("{type: integer, required: true}", "{type: integer}"),
    "default": ("{type: integer}", "{type: integer, default: 1}"),
    "description": ("{type: integer}", "{type: integer, description: two}"),
    "enum": ("{type: integer}", "{type: integer, enum: [1, 2]}"),
    "pattern": ("{type: string}", "{type: string, pattern: x+}"),
    "min": ("{type: integer}", "{type: integer, min: 0}"),
    "max": ("{type: integer}", "{type: integer, max: 9}"),
}


def test_each_key_of_a_pipeline_has_its_case_here() -> None:
    holders = ("schedule.calendar.", "params.*.", "steps[].", "defaults.", "handlers.", "templates")
    # The name tells pipelines apart; the others have no meaning beside what they hold or expand to.
    without = {"name", "params", "defaults", "steps", "handlers", "templates"}
    wanted = {key for key in keys() if not key.startswith(holders)} - without
    assert wanted == set(TOP) | {key for key in STEP if "." in key}
    of_steps = {key.removeprefix("steps[].") for key in keys() if key.startswith("steps[].")}
    assert of_steps - {"id", "template"} == {key for key in STEP if "." not in key}
    assert {f"params.*.{key}" for key in PARAM} == {
        key for key in keys() if key.startswith("params.*.")
    }
    # The days of a calendar's file are told as `dates`.
    assert {f"schedule.calendar.{key}" for key in [*CALENDAR, "file"]} == {
        key for key in keys() if key.startswith("schedule.calendar.")
    }


def subjects(before: str, after: str) -> set[str]:
    return {one.subject for one in differences(stored(before), stored(after))}


def line(key: str, value: str | None) -> str:
    return "" if value is None else f"{key}: {value}\n"


@pytest.mark.parametrize("key", TOP)
def test_a_changed_key_of_the_pipeline_is_told_by_its_name(key: str) -> None:
    head, _, rest = key.partition(".")
    before, after = (PLAIN + line(head, value) for value in TOP[key])
    told = subjects(before, after)
    assert any(one in (key, f"{head}: {rest}" if rest else head) for one in told), told


@pytest.mark.parametrize("key", CALENDAR)
def test_a_changed_key_of_a_calendar_is_told_by_its_name(key: str) -> None:
    before, after = (
        f"{PLAIN}schedule: {{interval: 1h, calendar: {{{value}}}}}\n" for value in CALENDAR[key]
    )
    assert subjects(before, after) == {f"schedule: calendar.{key}"}


@pytest.mark.parametrize("key", STEP)
def test_a_changed_key_of_a_step_is_told_by_its_name(key: str) -> None:
    head = key.partition(".")[0]
    written = {"job": "RunSql", "depends_on": "[a]", "with": "{sql: SELECT 2}"}
    texts: list[str] = []
    for value in STEP[key]:
        own = {name: one for name, one in {**written, head: value}.items() if one is not None}
        if key == "job":
            own["with"] = "{duration: 1}" if value == "SlowQuery" else own["with"]
        if key == "pipeline" and texts:
            own = {"pipeline": "q", "depends_on": "[a]"}
        keys_of_b = "".join(f", {name}: {one}" for name, one in own.items())
        first = PLAIN.partition("  - {id: b")[0]
        texts.append(f"{first}  - {{id: b{keys_of_b}}}\n")
    assert any(one.startswith(f"step b: {key}") for one in subjects(*texts))


@pytest.mark.parametrize("key", PARAM)
def test_a_changed_key_of_a_parameter_is_told_by_its_name(key: str) -> None:
    before, after = (PLAIN.replace("{type: integer}", value) for value in PARAM[key])
    assert subjects(before, after) == {f"param day: {key}"}


@pytest.mark.parametrize(
    ("path", "subject"),
    [
        (("timeout",), "timeout"),
        (("handlers", "failure"), "handlers.failure"),
        (("handlers", "failure", "tell"), "failure handler tell"),
        (("handlers", "finally", "tidy", "with"), "finally handler tidy: with"),
        (("handlers", "finally", "tidy", "with", "n"), "finally handler tidy: with.n"),
        (("steps",), "steps"),
        (("steps", "a"), "step a"),
        (("steps", "a", "timeout"), "step a: timeout"),
        (("steps", "a", "with", "sql"), "step a: with.sql"),
        (("schedule",), "schedule"),
        (("schedule", 0), "schedule"),
        (("schedule", 0, "cron"), "schedule: cron"),
        (("schedule", 1), "schedule 2"),
        (("schedule", 1, "catchup"), "schedule 2: catchup"),
        (("concurrency", "limit"), "concurrency.limit"),
    ],
)
def test_what_has_changed_is_named_for_people(path: tuple[str | int, ...], subject: str) -> None:
    assert Change("changed", path).subject == subject


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("a", "b", None),
        ("a\n", "\nb\n", None),
        ("a\nb", 5, None),
        (None, "a\nb", None),
        ("-- a\nb", "b\nc", ["@@ -1,2 +1,2 @@", "--- a", " b", "+c"]),
        ("a\nb", "a\nc", ["@@ -1,2 +1,2 @@", " a", "-b", "+c"]),
        ("a", "a\nb", ["@@ -1 +1,2 @@", " a", "+b"]),
        ("a\nb", "b", ["@@ -1,2 +1 @@", "-a", " b"]),
    ],
)
def test_texts_are_compared_line_by_line_where_one_of_them_has_several(
    old: object, new: object, lines: list[str] | None
) -> None:
    assert Change("changed", ("steps", "a", "with", "sql"), old, new).text_lines() == lines
