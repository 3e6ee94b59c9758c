"""A trigger rule is spelled out once: a new one is a line of SQL and a word of the schema."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINE = (
    "    WHEN 'all_skipped' THEN CASE WHEN unfinished > 0 THEN 'waiting'"
    " WHEN completed + failed > 0 THEN 'condition' ELSE 'queued' END\n"
)
PIPELINE = """
name: rules
params: {no: {type: boolean, default: false}}
steps:
  - {id: "off", job: Fibonacci, when: params.no, with: {n: 1}}
  - {id: "on", job: Fibonacci, with: {n: 1}}
  - {id: runs, job: Fibonacci, depends_on: ["off"], trigger_rule: all_skipped, with: {n: 3}}
  - id: skipped
    job: Fibonacci
    depends_on: ["off", "on"]
    trigger_rule: all_skipped
    with: {n: 3}
"""
PROGRAM = """
import json
from headrace.testing import database, run_pipeline
with database() as db:
    run = run_pipeline("rules", database=db)
print(json.dumps({name: step.status for name, step in run.steps.items()}))
"""


@pytest.mark.slow
def test_a_new_trigger_rule_is_one_edit_in_sql_and_one_in_the_schema(tmp_path: Path):
    package = tmp_path / "imports" / "headrace"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "runner", package, ignore=ignore)
    for name in ("jobs", "schema"):
        shutil.copytree(ROOT / name, package / name, ignore=ignore)
    edit(package / "store/sql/gate.sql", "    WHEN 'always' THEN", f"{LINE}    WHEN 'always' THEN")
    edit(package / "schema/pipeline.schema.json", '"all_failed",', '"all_failed", "all_skipped",')
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "rules.yaml").write_text(PIPELINE.lstrip())

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "imports")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "off": "skipped", "on": "completed", "runs": "completed", "skipped": "skipped"
    }  # fmt: skip


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new), encoding="utf-8")
