"""Warnings: what they find, what silences them, and that they are warnings only."""

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.lint.sql_warnings import lint
from headrace.declarations.load import load_folder
from headrace.engine.catalog.job_registry import Registry
from headrace.model.connection import NamedConnection
from headrace.model.pipeline import Pipeline, Step
from tests.support.catalogue import SmallCatalogue


def warnings(folder: Path, steps: str) -> list[str]:
    settings = Settings(folder, folder, folder)
    (folder / "p.yaml").write_text("name: p\nsteps:\n" + steps)
    loaded = load_folder(folder, SmallCatalogue(), settings)
    assert loaded.problems == []
    found = lint(loaded.pipelines.values(), settings, Registry())
    assert {problem.severity for problem in found} <= {"warning"}
    return [f"{p.line}:{p.column} {p.code} {p.message}" for p in found]


def step(name: str, sql: str, needs: str = "") -> str:
    return f"- {{id: {name}, job: RunSql, depends_on: [{needs}], with: {{sql: '{sql}'}}}}\n"


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("delete from s.t", "DELETE without WHERE changes every row of s.t"),
        (
            "select 1; UPDATE t SET a = {{ params.a }}",
            "UPDATE without WHERE changes every row of t",
        ),
        ("with gone as (delete from t returning *) select count(*) from gone", "DELETE"),
        ("delete from t where a = {{ params.a }}", ""),
        ("delete from {{ table | identifier }}", ""),
        ("update t set a = 1 {% if b %} where a = 2 {% endif %}", ""),
        ("this is no SQL (", ""),
    ],
)
def test_a_change_without_where_is_told(tmp_path: Path, sql: str, told: str) -> None:
    found = warnings(tmp_path, step("a", sql))

    assert len(found) == bool(told)
    assert all(told in text and text.startswith("3:") for text in found)


def test_two_steps_that_write_one_table_unordered_are_told(tmp_path: Path) -> None:
    steps = step("a", "insert into t select 1") + step("b", "delete from T where a = 1")

    (found,) = warnings(tmp_path, steps)

    assert 'parallel-write steps "a" and "b" both write t' in found


def test_a_read_of_what_an_unordered_step_writes_is_told(tmp_path: Path) -> None:
    steps = (
        "- {id: load, job: LoadFile, with: {path: a.csv, table: staging.orders}}\n"
        "- {id: sum, job: DataAggregation, with: {table: staging.orders, group_by: a}}\n"
        + step("join", "with x as (select 1) select * from x join staging.orders on true", "load")
    )

    (found,) = warnings(tmp_path, steps)

    assert 'unordered-read step "sum" reads staging.orders, which step "load" writes' in found


def test_steps_ordered_through_others_are_fine(tmp_path: Path) -> None:
    steps = (
        step("a", "insert into t select 1")
        + step("b", "select 1", "a")
        + step("c", "insert into u select * from t", "b")
        + step("d", "truncate t", "c")
    )

    assert warnings(tmp_path, steps) == []


def test_sql_files_are_read_where_the_job_looks_for_them(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "clear.sql").write_text("DELETE FROM t;")

    found = warnings(tmp_path, "- {id: a, job: RunSql, with: {sql_path: clear.sql}}\n")

    assert "no-where" in found[0]


def test_a_comment_with_its_reason_silences_one_code(tmp_path: Path) -> None:
    quiet = step("a", "delete from t").rstrip()

    assert warnings(tmp_path, f"{quiet} # headrace: ignore[no-where] it is refilled\n") == []
    assert warnings(tmp_path, f"{quiet} # headrace: ignore[no-where]\n") != []
    assert warnings(tmp_path, f"{quiet} # headrace: ignore[parallel-write] why not\n") != []


def test_another_database_has_tables_of_its_own(tmp_path: Path) -> None:
    settings = Settings(
        tmp_path, tmp_path, tmp_path, connections={"dwh": NamedConnection("postgresql://h/d")}
    )
    (tmp_path / "p.yaml").write_text(
        "name: p\nsteps:\n"
        "- {id: a, job: LoadFile, with: {path: a.csv, table: t}}\n"
        "- {id: b, job: TruncateTable, with: {table: t, connection: dwh}}\n"
    )
    loaded = load_folder(tmp_path, SmallCatalogue(), settings)

    assert lint(loaded.pipelines.values(), settings, Registry()) == []


def test_a_chain_of_a_thousand_writers_is_checked(tmp_path: Path) -> None:
    steps = "".join(
        f"- {{id: s{n}, job: TruncateTable, with: {{table: t}}"
        + (f", depends_on: [s{n - 1}]}}\n" if n else "}\n")
        for n in range(1000)
    )

    assert warnings(tmp_path, steps) == []


def test_a_read_of_what_only_a_later_step_fills_is_told(tmp_path: Path) -> None:
    steps = step("sum", "select count(*) from t") + step("fill", "insert into t select 1", "sum")

    (found,) = warnings(tmp_path, steps)

    assert 'read-before-write step "sum" reads t, which only the later step "fill" fills' in found


def test_a_table_that_a_later_step_only_clears_may_be_read_before(tmp_path: Path) -> None:
    steps = step("drop", "drop table a, t") + step("sum", "select * from u")
    for change in ("truncate t", "delete from t where a = 1", "drop table if exists u, t"):
        later = step("sum", "select count(*) from t") + step("clear", change, "sum")
        assert warnings(tmp_path, later) == []
    filled = (
        step("make", "create table t as select 1")
        + step("sum", "select count(*) from t", "make")
        + step("more", "insert into t select 2", "sum")
    )
    assert warnings(tmp_path, filled) == []
    assert warnings(tmp_path, steps) == []


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ('"0 8 1-7 * mon"', True),
        ('[{interval: 1h}, {cron: "0 8 1-7 * mon"}]', True),
        ('{cron: "0 8 1-7 * *"}', False),
        ('{cron: "0 8 * * mon"}', False),
        ('{cron: "0 8 1-7 * mon"} # headrace: ignore[either-day] both are meant', False),
    ],
)
def test_a_cron_expression_that_fires_on_either_day_is_told(
    tmp_path: Path, schedule: str, told: bool
) -> None:
    steps = "  - {id: only, job: RunSql, with: {sql: select 1}}\n"

    found = warnings(tmp_path, f"{steps}schedule: {schedule}\n")

    assert [one.split()[1] for one in found] == ["either-day"] * told


SWALLOWED = """\
{before}- id: a{first}
  job: RunSql
  with:
    sql: "select '--' as a -- one -- a{line}
      from t"
"""
CODE = "swallowed-comment"
MEANT = f" # headrace: ignore[{CODE}] it is meant"


@pytest.mark.parametrize(
    ("parts", "is_told"),
    [
        ({}, True),
        ({"first": MEANT}, False),
        ({"line": MEANT}, False),
        ({"first": MEANT.replace(CODE, "no-where")}, True),
        # The first line of another step.
        ({"before": f"- {{id: b, job: FailedJob}}{MEANT}\n"}, True),
    ],
)
def test_a_comment_that_swallows_sql_is_told_at_its_beginning_and_may_be_silenced(
    tmp_path: Path, parts: dict[str, str], is_told: bool
) -> None:
    steps = SWALLOWED.format(**{"before": "", "first": "", "line": "", **parts})

    found = warnings(tmp_path, steps)

    assert len(found) == is_told
    if is_told:
        line = 7 if "before" in parts else 6
        assert found[0] == (
            f'{line}:28 swallowed-comment the comment "-- one -- a" comments out what follows:'
            ' "from t": YAML joins the lines of this text'
        )


OF_HANDLER = """\
- {id: a, job: FailedJob}
handlers:
  failure:
  - id: h  # here
    job: RunSql
    with:
      sql: select 1 -- one
        from t
"""
OF_TEMPLATE = """\
- {id: a, job: FailedJob}
- {id: b, template: t}  # here
templates:  # here
  t:
    step:
      job: RunSql
      with:
        sql: select 1 -- one
          from t
"""


@pytest.mark.parametrize(("text", "silenced"), [(OF_HANDLER, True), (OF_TEMPLATE, False)])
def test_the_first_line_of_a_handler_silences_and_that_of_a_step_above_a_template_does_not(
    tmp_path: Path, text: str, silenced: bool
) -> None:
    assert [CODE in one for one in warnings(tmp_path, text)] == [True]
    found = warnings(tmp_path, text.replace("  # here", MEANT))
    assert [CODE in one for one in found] == [True] * (not silenced)


def test_a_file_that_is_gone_meanwhile_has_no_warnings(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path, tmp_path)
    text = "delete from t"
    step_of_it = Step("a", "RunSql", with_={"sql": text})
    gone = Pipeline("p", str(tmp_path / "gone.yaml"), str(tmp_path), "v", (step_of_it,))
    there = replace(gone, source=f"name: p\nsteps:\n{step('a', text)}".encode())

    assert [one.code for one in lint([gone, there], settings, Registry())] == ["no-where"]


def test_a_pipeline_is_warned_of_as_it_was_read_and_not_as_its_file_is_by_now(
    tmp_path: Path,
) -> None:
    path, settings = tmp_path / "p.yaml", Settings(tmp_path, tmp_path, tmp_path)
    text = f"name: p\nsteps:\n{step('a', 'delete from t')}"
    path.write_text(text)
    pipeline = load_folder(tmp_path, SmallCatalogue(), settings).pipelines["p"]
    without = replace(pipeline, source=b"")

    def found(one: Pipeline) -> int:
        return len(lint([one], settings, Registry()))

    assert (found(pipeline), found(without)) == (1, 1)
    for broken in (f"name: p\n{text}", "steps: [", "\0"):
        path.write_text(broken)
        assert (found(pipeline), found(without)) == (1, 0)
    path.unlink()
    assert (found(pipeline), found(without)) == (1, 0)
