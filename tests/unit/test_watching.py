"""Alert rules, dashboard and documentation speak of metrics that exist."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.__main__ import metrics_page
from headrace.observe.metric_list import METRICS

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/headrace.rules.yml"
DASHBOARD = ROOT / "deploy/grafana/headrace.json"
SAMPLES = {sample: one for one in METRICS.values() for sample in one.samples}
_NAME = re.compile(r"\b(headrace_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def faults_of(expression: str) -> Iterator[str]:
    """Yield what an expression asks for and nothing exports."""
    for name, matchers in _NAME.findall(expression):
        if name not in SAMPLES:
            yield name
            continue
        known = {*SAMPLES[name].labels, *(["le"] if name.endswith("_bucket") else [])}
        yield from (f"{name}: {label}" for label in _LABEL.findall(matchers) if label not in known)


def test_each_alert_asks_for_metrics_and_labels_that_are_exported():
    assert len(rules()) >= 8
    for rule in rules():
        assert _NAME.search(rule["expr"]), rule["alert"]
        assert not list(faults_of(rule["expr"])), rule["alert"]
        assert {"severity"} == rule["labels"].keys()
        assert {"summary", "description"} == rule["annotations"].keys()


def test_each_panel_asks_for_metrics_and_labels_that_are_exported():
    queries = {panel["title"]: [one["expr"] for one in panel["targets"]] for panel in panels()}

    assert len(queries) == len(panels()) >= 10
    for title, expressions in queries.items():
        for expression in expressions:
            assert _NAME.search(expression), title
            assert not list(faults_of(expression)), title


def test_the_dashboard_shows_each_metric():
    shown = set(_NAME.findall(DASHBOARD.read_text(encoding="utf-8")))
    names = {name for name, _ in shown}

    assert [one.name for one in METRICS.values() if not names & set(one.samples)] == []


def test_a_metric_that_does_not_exist_is_found():
    assert list(faults_of('sum(headrace_jobs{queue="a",kind="b"}) > headrace_nothing_total')) == [
        "headrace_jobs: kind",
        "headrace_nothing_total",
    ]


def test_panels_overlap_nowhere():
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}  # fmt: skip
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", RULES.name],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "headrace.tests.yml"],
    ],
    ids=" ".join,
)
def test_promtool_takes_rules_and_example_and_the_rules_do_as_told(
    arguments: list[str], tmp_path: Path
):
    if shutil.which("promtool") is None and "CI" not in os.environ:
        pytest.skip("promtool (Debian's package prometheus) is not installed")
    for path in RULES.parent.iterdir():
        text = path.read_text(encoding="utf-8")
        # promtool looks for the file of the token.
        text = text.replace("/etc/prometheus/headrace.token", str(tmp_path / "token"))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    (tmp_path / "token").write_text("t")

    done = subprocess.run(
        ["promtool", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_of_the_metrics_is_what_the_code_says():
    page = (ROOT / "docs/reference/metrics.md").read_text(encoding="utf-8")

    assert page == metrics_page(), "run `make docs`"
    for one in METRICS.values():
        assert f"`{one.samples[0].removesuffix('_bucket')}`" in page
