"""Where `validate --explain` says that a fault of a statement is, if its line cannot be told."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.explain.sql_locations import Places
from headrace.engine.explain.sql_preview import preview_sql
from headrace.engine.planning.planner import Planner
from headrace.model.pipeline import Pipeline
from headrace.model.status import Trigger

# Rendered, its lines are one, which is not like any of them.
JOINED = "select n, {{ 1\n  + 1 }} from t {# a sum #}\n"
# The second line of what is sent is the third one here.
CONDITION = "select 1\n{% if true %}\n, n\n{% endif %}\nfrom t\n"
# Sent, it has one line.
SHORT = "{% if true -%}\nselect 1\n{%- endif %}\n"
FILE = "name: p\nsteps:\n- id: a\n  job: RunSql\n  with:\n    {with_}\n"


def placed(
    folder: Path, sql: str, *, line: int = 0, word: str = "", own_file: bool = False, edit: str = ""
) -> tuple[str, int, int]:
    """Return the place of a word of the step's statement; `edit` is in the file meanwhile."""
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    inline = "sql: |\n" + "".join(f"      {one}\n" for one in sql.splitlines())
    (pipelines / "a.sql").write_text(sql)
    path = pipelines / "p.yaml"
    path.write_text(FILE.replace("{with_}", "sql_path: a.sql" if own_file else inline.rstrip()))
    settings, registry = Settings(folder, folder, pipelines), Registry()
    catalog = Pipelines(settings, registry)
    pipeline = catalog.get("p")
    planner = Planner(settings, catalog, registry)
    plan = planner.plan(pipeline, {}, datetime.now(UTC), Trigger.MANUAL)
    (previewed,) = preview_sql(plan, settings, registry)
    if edit:
        path.write_text(edit)
    file, *place = Places(pipeline).of(plan.jobs[0], previewed.statements[0], line, word)
    return Path(file).name, place[0], place[1]


@pytest.mark.parametrize(
    ("sql", "line", "word", "own_file", "place"),
    [
        (CONDITION, 3, "n", False, ("p.yaml", 9, 9)),
        (CONDITION, 3, "n", True, ("a.sql", 3, 3)),
        (JOINED, 1, "n", False, ("p.yaml", 6, 10)),
        (JOINED, 1, "n", True, ("a.sql", 1, 1)),
        # At its end.
        (SHORT, 1, "", False, ("p.yaml", 8, 7)),
        (SHORT, 2, "", False, ("p.yaml", 6, 10)),
        (SHORT, 2, "", True, ("a.sql", 1, 1)),
    ],
)
def test_a_line_that_no_written_one_has_become_is_placed_at_its_key(
    tmp_path: Path, sql: str, line: int, word: str, own_file: bool, place: tuple[str, int, int]
) -> None:
    assert placed(tmp_path, sql, line=line, word=word, own_file=own_file) == place


def test_a_file_that_was_broken_meanwhile_is_named_by_its_beginning(tmp_path: Path) -> None:
    assert placed(tmp_path, JOINED, edit="name: [") == ("p.yaml", 1, 1)


@pytest.mark.parametrize(
    ("key", "column"),
    [
        ("sql", 15),
        ("sql_path", 20),
        ("table", 17),
        ("source_table", 24),
        ("index", 17),
        ("other", 3),
    ],
)
def test_a_statement_without_a_text_of_its_own_is_placed_at_what_it_is_about(
    tmp_path: Path, key: str, column: int
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(f"name: p\nsteps:\n- id: a\n  job: X\n  with: {{{key}: x}}\n")
    job: Any = SimpleNamespace(step="a[1]", handler=None, payload={key: "x"})
    pipeline = Pipeline("p", str(path), str(tmp_path), "1", ())
    assert Places(pipeline).of(job, None)[2] == column
