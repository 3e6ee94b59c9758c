"""What a pipeline amounts to, and where each value came from."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.resolved_pipeline import yaml_with_comments
from headrace.declarations.config import Settings, load_settings
from headrace.declarations.config.origins import SettingOrigins
from headrace.declarations.load import load_files
from headrace.declarations.source import parse
from headrace.declarations.value_origins import Sourced, resolved
from headrace.model.connection import NamedConnection
from headrace.model.duration import parse_duration_s
from headrace.model.notifications import Expectation, Notifications, Notify, Receiver
from headrace.model.origin import BUILT_IN as ORIGIN
from headrace.model.pipeline import Pipeline, Step
from headrace.model.retry import RetryPolicy
from tests.support.catalogue import SmallCatalogue

VALID = Path(__file__).parents[2] / "conformance" / "valid"
FILES = sorted(VALID.rglob("*.yaml"))
PIPELINES = [path for path in FILES if not path.name.startswith("_")]


def of(path: Path, settings: Settings) -> tuple[Pipeline, dict[str, Any]]:
    loaded = load_files([path], SmallCatalogue(), settings)
    assert loaded.problems == []
    (pipeline,) = loaded.pipelines.values()
    return pipeline, resolved(path, SmallCatalogue(), settings)


def plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: plain(part) for key, part in tree.items()}
    return [plain(part) for part in tree] if isinstance(tree, list) else tree.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        *(tmp_path, tmp_path, VALID),
        connections={"warehouse": NamedConnection("postgresql://warehouse/dwh")},
        pools={"warehouse": 4},
        default_queue="low",
        timeout_s=420.0,
        retry=RetryPolicy(limit=7, jitter=True, intervals_s=(1.0, 90.0)),
        notify=Notify(("failure",), ("chat",)),
        notifications=Notifications(
            receivers={name: Receiver(name, "slack", "https://x") for name in ("pager", "chat")}
        ),
    )


def policy(retry: dict[str, Any]) -> RetryPolicy:
    intervals, when = retry.get("intervals"), retry.get("when")
    waits = {key: retry[key] for key in ("delay", "max_delay") if key in retry}
    return RetryPolicy(
        limit=retry["limit"],
        jitter=retry["jitter"],
        intervals_s=tuple(map(parse_duration_s, intervals)) if intervals else None,
        when=tuple(when) if isinstance(when, list) else when,
        **{f"{key}_s": parse_duration_s(wait) for key, wait in waits.items()},
        **({"factor": retry["factor"]} if "factor" in retry else {}),
    )


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_what_is_shown_is_what_runs(path: Path, settings: Settings):
    pipeline, tree = of(path, settings)
    shown = plain(tree)
    handlers = shown.get("handlers", {})
    listed = [*shown["steps"], *(step for of_kind in handlers.values() for step in of_kind)]
    by_id: dict[str, dict[str, Any]] = {step["id"]: step for step in listed}

    assert set(by_id) == {step.id for step in (*pipeline.steps, *pipeline.handlers)}
    for step in (*pipeline.steps, *pipeline.handlers):
        assert_same(step, by_id[step.id], settings)
    told = shown.get("notify")
    assert (Notify(tuple(told["on"]), tuple(told["to"])) if told else None) == pipeline.notify
    for key, seconds in asdict(pipeline.expected or Expectation()).items():
        given = shown.get({"deadline_s": "deadline", "duration_s": "expected_duration"}[key])
        assert (given and parse_duration_s(given)) == seconds


def assert_same(step: Step, shown: dict[str, Any], settings: Settings) -> None:
    if step.pipeline is None:
        assert shown["job"] == step.job
    else:
        assert shown["pipeline"] == step.pipeline
    assert shown.get("depends_on", []) == list(step.depends_on)
    assert shown.get("trigger_rule", "all_success") == step.trigger_rule
    assert shown["allow_failure"] == step.allow_failure
    assert shown.get("when") == step.when
    assert shown.get("with", {}) == step.with_
    if step.pipeline is not None:
        assert not shown.keys() & {"queue", "timeout", "retry", "env"}
        return
    assert shown["queue"] == (step.queue or settings.default_queue)
    assert parse_duration_s(shown["timeout"]) == (step.timeout_s or settings.timeout_s)
    assert policy(shown["retry"]) == (step.retry or settings.retry)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_the_text_is_yaml_of_the_same_values(path: Path, settings: Settings):
    _, tree = of(path, settings)
    assert parse("\n".join(yaml_with_comments(tree)), "shown").data == plain(tree)


def test_texts_that_yaml_would_read_otherwise_are_quoted():
    words = "no true null 5 1.5 # ' é ~ *a &a !x % @ @daily ` 0x1f = << - -5 a:b a: [ ] {} , a,b"
    texts = [*words.split(), "", " a", "a ", "a: b", "- a", "a #b", "{{ x }}", "x" * 2000]
    texts += ["two\nlines", "two\nlines\n", "\n", " two\nlines", "a\tb\nc", "a\n\nb", "a\r\nb"]
    texts += ["\u2028", "\x85", "\U0001f600", "\U000e0001"]
    tree: Any = {"listed": Sourced(texts, ORIGIN)} | {
        f"k{number}": Sourced(text, ORIGIN) for number, text in enumerate(texts)
    }
    tree |= {text: Sourced(text, ORIGIN) for text in texts if len(text) < 1000}
    tree["nested"] = {"a": [[Sourced(1, ORIGIN)], {"b": Sourced({"c": [None, True, 1.5]}, ORIGIN)}]}

    assert parse("\n".join(yaml_with_comments(tree)), "shown").data == plain(tree)


DEFAULTS = "queue: low\nretry: {factor: 3}\n"
FOLDER = """\
timeout: 7m
templates:
  wait:
    params:
      seconds: {type: number, default: 1}
    step:
      job: SlowQuery
      retry: {limit: 1}
      with: {duration: "{{ template.seconds }}"}
"""
PIPELINE = """\
name: p
schedule: {cron: "@daily", catchup: all}
defaults:
  retry: {max_delay: 1h}
steps:
  - {id: own, job: FailedJob, queue: high}
  - id: waits
    template: wait
    retry: {delay: 5s}
    with:
      seconds: 2
  - {id: waits_long, template: wait}
"""
CONFIG = "pipelines: .\nretry:\n  jitter: true\n"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOB_MAX_RETRIES", "9")
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "_defaults.yaml").write_text(DEFAULTS)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "_defaults.yaml").write_text(FOLDER)
    (tmp_path / "sub" / "p.yaml").write_text(PIPELINE)
    return resolved(Path("sub/p.yaml"), SmallCatalogue(), load_settings())


@pytest.mark.parametrize(
    ("path", "value", "origin"),
    [
        (("name",), "p", "from sub/p.yaml:1"),
        (("schedule", 0, "catchup"), "all", "from sub/p.yaml:2"),
        (("schedule", 0, "timezone"), "UTC", "built-in default"),
        (("steps", 0, "queue"), "high", "from sub/p.yaml:6"),
        (("steps", 0, "timeout"), "7m", "from sub/_defaults.yaml:1"),
        (("steps", 0, "trigger_rule"), "all_success", "built-in default"),
        (("steps", 0, "retry", "limit"), 9, "from the environment, JOB_MAX_RETRIES"),
        (("steps", 0, "retry", "delay"), "1m", "built-in default"),
        (("steps", 0, "retry", "factor"), 3, "from _defaults.yaml:2"),
        (("steps", 0, "retry", "max_delay"), "1h", "from defaults, sub/p.yaml:4"),
        (("steps", 0, "retry", "jitter"), True, "from config.yaml:3"),
        (("steps", 1, "queue"), "low", "from _defaults.yaml:1"),
        (("steps", 1, "job"), "SlowQuery", 'from template "wait", sub/_defaults.yaml:7'),
        (("steps", 1, "retry", "limit"), 1, 'from template "wait", sub/_defaults.yaml:8'),
        (("steps", 1, "retry", "delay"), "5s", "from sub/p.yaml:9"),
        (
            ("steps", 1, "with", "duration"),
            2,
            'from template "wait", sub/_defaults.yaml:9, with seconds from sub/p.yaml:11',
        ),
        (("steps", 2, "with", "duration"), 1, 'from template "wait", sub/_defaults.yaml:9'),
    ],
)
def test_each_value_has_its_origin(tree: Any, path: tuple[str | int, ...], value: Any, origin: str):
    found = tree
    for key in path:
        found = found[key]
    assert (found.value, str(found.origin)) == (value, origin)


def test_a_folder_that_tells_nobody_ends_what_a_pipeline_is_given(tmp_path: Path):
    (tmp_path / "sub" / "low").mkdir(parents=True)
    (tmp_path / "_defaults.yaml").write_text("notify: {on: [late], to: [pager]}\n")
    (tmp_path / "sub" / "low" / "_defaults.yaml").write_text("notify: {on: [late]}\n")
    (tmp_path / "sub" / "_defaults.yaml").write_text("notify: null\n")
    settings = Settings(
        *(tmp_path, tmp_path, tmp_path),
        notify=Notify(("failure",), ("chat",)),
        notifications=Notifications(
            receivers={name: Receiver(name, "slack", "https://x") for name in ("pager", "chat")}
        ),
    )
    steps = "steps: [{id: a, job: FailedJob}]\n"
    shown = []
    for place, own in (("", ""), ("", "notify: {to: [chat]}\n"), ("low", "")):
        path = tmp_path / "sub" / place / "p.yaml"
        path.write_text(f"name: p\n{own}{steps}")
        pipeline, tree = of(path, settings)
        told = plain(tree).get("notify")
        shown.append(told and told["to"])
        assert bool(told) == bool(pipeline.notify)

    assert shown == [None, ["chat"], None]


def test_settings_whose_file_is_gone_meanwhile_are_called_built_in(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text("retention: null\nretry: {limit: 2}\nworkers: 3\n")
    settings = load_settings({}, config_file=path)
    origins = SettingOrigins(settings, {})
    for key, line in ((("workers",), 3), (("retry", "limit"), 2), (("retry",), 2)):
        assert (origins.of(key).kind, origins.of(key).line) == ("config", line)
    for left_out in (("timeout",), ("retention",), ("retry", "jitter"), ("http", "x")):
        assert origins.of(left_out) == ORIGIN

    path.unlink()

    assert SettingOrigins(settings, {}).of(("workers",)) == ORIGIN
