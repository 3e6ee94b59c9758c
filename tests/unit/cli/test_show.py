"""`headrace show NAME`: without any server."""

import re
from pathlib import Path

import pytest

from tests.support.cli import REPOSITORY, Headrace

DEFAULTS = """\
timeout: 2m
templates:
  number:
    params: {n: {type: integer, required: true}}
    step: {job: Fibonacci, with: {n: "{{ template.n }}"}}
"""
PIPELINE = """\
name: good
steps:
  - {id: one, template: number, with: {n: 3}}
  - {id: two, job: RunSql, depends_on: [one], with: {sql: "select 1"}}
"""


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "_defaults.yaml").write_text(DEFAULTS)
    (tmp_path / "pipelines" / "good.yaml").write_text(PIPELINE)
    return Headrace(tmp_path, {"JOB_DEFAULT_QUEUE": "low"})


def test_a_pipeline_is_shown_with_the_origin_of_each_value(headrace: Headrace):
    done = headrace("show", "good")

    assert done.code == 0
    lines = {" ".join(line.split()) for line in done.out.splitlines()}
    assert "name: good # from pipelines/good.yaml:1" in lines
    assert 'job: Fibonacci # from template "number", pipelines/_defaults.yaml:5' in lines
    assert "timeout: 2m # from pipelines/_defaults.yaml:1" in lines
    assert "queue: low # from the environment, JOB_DEFAULT_QUEUE" in lines
    assert "intervals: [1m, 5m, 15m] # built-in default" in lines
    assert not (headrace.folder / ".headrace").exists()


def test_a_program_reads_values_and_origins(headrace: Headrace):
    shown = headrace("show", "good", "--json").json

    assert (shown["pipeline"], shown["file"]) == ("good", "pipelines/good.yaml")
    assert len(shown["version"]) == 64
    one, two = shown["values"]["steps"]
    assert one["with"]["n"] == {
        "value": 3,
        "origin": {
            "kind": "template",
            "file": "pipelines/_defaults.yaml",
            "line": 5,
            "template": "number",
            "parameter": "n",
            "given": {"file": "pipelines/good.yaml", "line": 3},
        },
    }
    assert two["depends_on"]["value"] == ["one"]
    assert two["queue"]["origin"] == {"kind": "environment", "variable": "JOB_DEFAULT_QUEUE"}
    assert two["allow_failure"] == {"value": False, "origin": {"kind": "built-in"}}


def test_a_broken_pipeline_shows_its_problems(headrace: Headrace):
    path = headrace.folder / "pipelines" / "good.yaml"
    path.write_text(PIPELINE.replace("number", "nmber"))

    done = headrace("show", "good")

    assert (done.code, done.out) == (1, "")
    assert 'good.yaml:3:25: step "one" uses an unknown template "nmber"' in done.err
    assert 'did you mean "number"?' in done.err


def test_a_name_that_nothing_has_is_told_with_a_guess(headrace: Headrace):
    done = headrace("show", "god")
    assert (done.code, done.out) == (1, "")
    assert 'did you mean "good"?' in done.err
    assert "headrace runs" in done.err


def test_the_example_of_the_guide_is_valid_and_shown_as_the_guide_says(headrace: Headrace):
    guide = (REPOSITORY / "docs" / "guide" / "pipelines.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", guide, re.S | re.M)
    example = next(block for block in blocks if "name: reference_data" in block)
    told = next(block for block in blocks if "# built-in default" in block)
    (headrace.folder / "pipelines" / "_defaults.yaml").unlink()
    (headrace.folder / "pipelines" / "good.yaml").unlink()
    (headrace.folder / "pipelines" / "reference_data.yaml").write_text(example)

    assert headrace("validate").out == "1 pipeline is valid\n"
    environ = {**headrace.environ, "JOB_DEFAULT_QUEUE": ""}
    shown = Headrace(headrace.folder, environ)("show", "reference_data").out

    lines = {" ".join(line.split()) for line in shown.splitlines()}
    assert {" ".join(line.split()) for line in told.splitlines()} <= lines
