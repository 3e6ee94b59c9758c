"""`headrace init`: a new project folder that runs as it is."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from headrace.errors import ConfigError

_SCHEMA = "schema/pipeline.schema.json"
_FILES = {
    "config.yaml": """\
# What differs from the defaults; `config.example.yaml` of Headrace shows every key.
# Without database_url and redis_url, servers of the project's own run in .headrace/.
pipelines: pipelines
""",
    ".gitignore": """\
.headrace/
""",
    "pipelines/hello.yaml": """\
# yaml-language-server: $schema=../schema/pipeline.schema.json
name: hello
description: A first pipeline. Two steps, the second after the first.
# schedule: "*/15 * * * *"
params:
  greeting: {default: Hello}
steps:
  - id: make
    job: RunSql
    with:
      sql: |
        CREATE TABLE IF NOT EXISTS public.greeting (at timestamptz, words text);
        INSERT INTO public.greeting VALUES (now(), {{ params.words }})
      params: {words: "{{ params.greeting }}"}
  - id: count
    job: CountGreetings
    depends_on: [make]
""",
    "jobs/count_greetings.py": '''\
"""A job of this project. Every class of jobs/*.py that inherits from BaseJob can be a step."""

from typing import Any

from headrace import BaseJob, logger
from sqlalchemy import text


class CountGreetings(BaseJob):
    """Count the greetings that were made so far."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def handle(self) -> dict[str, int]:
        with self.session() as session:
            count = session.execute(text("SELECT count(*) FROM public.greeting")).scalar_one()
        logger.info("%d greetings", count)
        return {"greetings": count}
''',
    "tests/test_hello.py": '''\
"""The pipelines of this project in a test, without daemon, worker and Redis: run `pytest`."""

from pathlib import Path

from headrace.testing import database, run_pipeline

PROJECT = Path(__file__).parent.parent


def test_hello_greets_and_counts() -> None:
    with database() as db:
        run = run_pipeline("hello", {"greeting": "Good day"}, database=db, project=PROJECT)

        assert run.status == "completed", run
        assert run.steps["count"].result == {"greetings": 1}
        assert db.rows("SELECT words FROM public.greeting") == [{"words": "Good day"}]
''',
}


def init(given: argparse.Namespace) -> int:
    """Write the files of a project; existing ones are never touched."""
    folder = Path(given.folder)
    taken = [name for name in (*_FILES, _SCHEMA) if (folder / name).exists()]
    if taken:
        raise ConfigError(f"{folder / taken[0]} already exists; init overwrites nothing")
    try:
        for name, text in _FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (folder / _SCHEMA).parent.mkdir(exist_ok=True)
        (folder / _SCHEMA).write_text(_schema_of(folder), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None
    for name in (*_FILES, _SCHEMA):
        print(folder / name)
    call = _call()
    print(f"\nEditors check pipelines by {_SCHEMA}. For new jobs: {call} schema > {_SCHEMA}")
    print(f"Now: cd {folder} && {call} run hello")
    return 0


def _schema_of(folder: Path) -> str:
    """Return the schema of pipelines with the parameters of the new project's jobs in it."""
    from headrace.declarations.config import load_settings
    from headrace.engine.catalog.job_registry import registry_of
    from headrace.engine.catalog.job_schema import pipeline_schema

    settings = load_settings({"HEADRACE_CONFIG": str(folder / "config.yaml")})
    return json.dumps(pipeline_schema(registry_of(settings), settings), indent=2) + "\n"


def _call() -> str:
    """Return how `headrace` is called here, where it may not be on the PATH."""
    if shutil.which("headrace"):
        return "headrace"
    beside = Path(sys.executable).with_name("headrace")
    return str(beside) if beside.exists() else f"{sys.executable} -m {__name__.partition('.')[0]}"
