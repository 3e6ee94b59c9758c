"""`headrace validate` finds what a run would refuse, wherever the files decide it."""

import ast
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.cli.program import main
from headrace.engine.catalog.job_registry import Registry

Found = Callable[..., list[dict[str, Any]]]

CONFIG = """\
connections: {warehouse: "postgresql://warehouse/dwh"}
shell_commands: true
http: {allowed_hosts: [api.example.com]}
"""


@pytest.fixture
def found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Found:
    """Validates steps, or a whole file, beside the SQL files that are given."""
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    for name in ("HEADRACE_CONFIG", "HEADRACE_PIPELINES", "DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)

    def validated(text: str, *, code: int = 1, **files: str) -> list[dict[str, Any]]:
        text = text if text.startswith("name:") else f"name: p\nsteps:\n{text}"
        (tmp_path / "pipelines" / "p.yaml").write_text(text)
        for name, content in files.items():
            (tmp_path / "pipelines" / f"{name}.sql").write_text(content)
        ended = main(["validate", "--json"])
        items: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["items"]
        assert ended == code, items
        return items

    return validated


def one(items: list[dict[str, Any]]) -> dict[str, Any]:
    assert len(items) == 1, items
    return items[0]


def step(job: str, with_: str, *, more: str = "") -> str:
    return f"  - {{id: a, job: {job}{more}, with: {{{with_}}}}}\n"


HEAD = """\
name: p
params:
  day: {type: date, default: "{{ run.logical_date }}"}
  n: {type: integer, default: 3}
  region: {enum: [eu, us], default: eu}
  code: {required: true}
steps:
  - {id: load, job: LoadFile, with: {path: a.csv, table: s.t}}
  - {id: load-orders, job: LoadFile, with: {path: a.csv, table: s.u}}
"""
THEN = "  - {{id: a, job: Fibonacci, depends_on: [load, load-orders], {0}, with: {{n: 3}}}}\n"


@pytest.mark.parametrize(
    ("when", "code", "said"),
    [
        ("params.day.dya == 1", "unknown-name", 'did you mean "day"?'),
        ("params.day == '2026-01-01'", "bad-comparison", "a date with a text"),
        ("params.n > '3'", "bad-comparison", "a number with a text"),
        ("params.day == run.logical_date", "bad-comparison", "| date"),
        ("params.region == 'europe'", "bad-comparison", 'there is no "europe"'),
        ("steps.load.status == 'succeeded'", "bad-comparison", "completed"),
        ("steps.load.status in ['failed', 'fertig']", "bad-comparison", "fertig"),
        ("steps.load.statuss == 'failed'", "unknown-name", 'did you mean "status"?'),
        ("steps.load.result.rows > 0", "unknown-name", "row_count"),
        ("steps.load-orders.result", "unknown-name", "steps['load-orders']"),
        ("run.id", "unknown-name", "pipeline, trigger, logical_date"),
        ("run.status == 'failed'", "unknown-name", "pipeline, trigger, logical_date"),
        ("run.trigger == 'cron'", "bad-comparison", "schedule"),
        ("params.n | uper", "unknown-filter", 'did you mean "upper"?'),
        ("params.n is evn", "unknown-test", 'did you mean "even"?'),
        ("params.day - hours('3')", "wrong-type", "hours"),
        ("params.day - 1 < params.day", "wrong-type", "a date and a number"),
        ("''.__class__", "unsafe-template", "__class__"),
        ("run.logical_date.isocalendar()", "unsafe-template", "isocalendar"),
        ("prams.n > 3", "unknown-name", 'did you mean "params"?'),
    ],
)
def test_a_condition_that_no_run_can_evaluate(found: Found, when: str, code: str, said: str):
    items = found(HEAD + THEN.format(f'when: "{when}"'))
    mine = [item for item in items if item["line"] == 10]
    assert mine[0]["code"] == code, items
    assert said in mine[0]["message"] + mine[0]["hint"]


@pytest.mark.parametrize(
    "when",
    [
        "params.day.day != 1",
        "{{ params.day.day != 1 }}",
        " {{ params.n > 2 }} ",
        "params.day - days(1) < params.day",
        "params.day | strftime('%Y') == '2026'",
        "run.logical_date | date == params.day",
        "steps.load.result.row_count > 0",
        "steps['load-orders'].result.row_count > 0",
        "steps.load.result.a.b | default(0) == 0",
        "steps.load.status == 'skipped' or params.get('n') == 3",
        "params.region in ['eu', 'us'] and params.code | length > 3",
        "params.n is none or params.n + 0.5 > 1",
        "run.trigger in ('manual', 'api')",
        "[params.n, 4] | max > 3 and (params.code ~ 'x').startswith('x')",
    ],
)
def test_a_condition_that_a_run_evaluates_is_content(found: Found, when: str):
    assert found(HEAD + THEN.format(f'when: "{when}"'), code=0) == []


def test_the_item_of_a_foreach_in_when(found: Found):
    text = step("Fibonacci", "n: 3", more=', foreach: {items: [1, 2], as: i}, when: "i > 1"')
    item = one(found(text))
    assert (item["code"], item["line"]) == ("unknown-name", 3)
    assert "only in `with` and `env`" in item["hint"]


def test_an_item_beside_steps_in_one_text(found: Found):
    text = (
        "  - {id: a, job: Fibonacci, with: {n: 3}}\n"
        "  - {id: b, job: RunSql, depends_on: [a], foreach: {items: [1], as: i},\n"
        '     with: {sql: select 1, params: {x: "{{ i }} {{ steps.a.result }}"}}}\n'
    )
    assert (
        "one value cannot refer to both the foreach item and `steps`" in one(found(text))["message"]
    )


def test_a_default_that_speaks_of_a_parameter_below_it(found: Found):
    text = (
        'name: p\nparams: {a: {default: "{{ params.b }}"}, b: {default: x}}\n'
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    assert "not above it" in one(found(text))["message"]


def test_a_default_that_does_not_become_its_type(found: Found):
    text = (
        'name: p\nparams: {n: {type: integer, default: "{{ run.pipeline }}"}}\n'
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    problem = one(found(text))
    assert problem["code"] == "bad-default"
    assert 'parameter "n" is "p", not an integer' in problem["message"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select {{ i }}", 'params: {i: "{{ i }}"}'),
        ("select {{ params.m }}", 'params has no "m"'),
        ("select {{ steps.a.result }}", "pass it on"),
        ("select '{{ params.n }}'", "inside quotes"),
        ("select 1 -- {{ params.n }}", "inside a comment"),
        ("select a{{ params.n }}", "is directly next to other text"),
        ("select {{ params.n | upcase }}", 'unknown filter "upcase"'),
        ("select * from {{ 'a b c'.__class__ }}", "__class__"),
        ("select 1; commit", "COMMIT is not allowed"),
        ("select 1; vacuum s.t", "VACUUM cannot run inside a transaction"),
        ("create index concurrently i on t (a)", "transaction: false"),
        ("set standard_conforming_strings to off", "standard_conforming_strings"),
        ("-- nothing", "contains no statement"),
        ("select {% if params.n %}1", "not a valid template"),
        ("select {{ run.pipeline }}", 'run has no "pipeline"'),
    ],
)
@pytest.mark.parametrize("inline", [True, False], ids=["sql", "sql_path"])
def test_sql_that_no_run_would_send(found: Found, sql: str, said: str, inline: bool):
    with_ = f'sql: "{sql}"' if inline else "sql_path: x.sql"
    text = (
        "name: p\nparams: {n: {type: integer, default: 3}}\nsteps:\n"
        f"  - {{id: a, job: RunSql, foreach: {{items: [1], as: i}}, with: {{{with_}}}}}\n"
    )
    item = found(text, x=f"\n{sql}\n")[0]
    assert said in item["message"] + item["hint"], item
    if not inline and item["code"] in ("unknown-name", "refused-sql") and "contains no" not in said:
        assert (Path(item["file"]).name, item["line"]) == ("x.sql", 2)


def test_one_mistake_of_sql_is_told_once_however_many_of_its_forms_have_it(found: Found):
    sql = "{% if params.n > 1 %}\nvacuum s.t\n{% else %}\n\nvacuum s.u\n{% endif %}\n"
    text = (
        "name: p\nparams: {n: {type: integer, default: 3}}\nsteps:\n"
        "  - {id: a, job: RunSql, with: {sql_path: x.sql}}\n"
    )
    assert "VACUUM cannot run inside a transaction" in one(found(text, x=sql))["message"]


def test_sql_whose_parameters_only_a_run_knows_is_content(found: Found):
    text = (
        "name: p\nsteps:\n  - {id: a, job: RunSql, with: {sql: select 1}}\n"
        '  - {id: b, job: RunSql, depends_on: [a], with: {sql: "select {{ params.n }}",'
        ' params: "{{ steps.a.result }}"}}\n'
    )
    assert found(text, code=0) == []


@pytest.mark.parametrize(
    ("job", "with_"),
    [
        ("PopulateRecords", ""),
        ("RunSql", ""),
        ("ExportQuery", "path: o.csv, "),
        ("CheckData", ""),
    ],
)
def test_every_job_s_sql_is_looked_at_before_a_value_is_put_in(found: Found, job: str, with_: str):
    # Only where the condition holds is the name asked for: a rendering would not find it.
    sql = "select 1{% if run.id == 'x' %} where {{ missing }}{% endif %}"

    (item,) = found(step(job, f"{with_}sql_path: x.sql"), x=sql)

    assert (item["code"], Path(item["file"]).name) == ("unknown-name", "x.sql")
    assert '"missing"' in item["message"]


def test_what_a_run_refuses_is_told_without_warnings_of_the_same_file(found: Found):
    doubtful = step("RunSql", "sql: delete from s.t")
    (warned,) = found(doubtful, code=0)
    assert warned["severity"] == "warning"
    refused = step("Fibonacci", "n: -1").replace("id: a", "id: b")
    assert [item["severity"] for item in found(doubtful + refused)] == ["error"]


def test_a_place_in_sql_is_that_of_the_word(found: Found):
    text = "  - id: a\n    job: RunSql\n    with:\n      sql: |\n"
    text += "        select 1,\n          {{ x }}\n"
    item = one(found(text))
    assert (item["line"], item["column"]) == (8, 14)


@pytest.mark.parametrize(
    "sql",
    [
        "select {{ params.n }}::int",
        "select {{ params.day | date - days(1) }}, {{ logical_date }}, {{ run.id }}",
        "select * from {{ ('a_' ~ params.n) | identifier }} where a in {{ params.l | inlist }}",
        "{% for x in params.l %}select {{ x }};{% endfor %}",
        "{% if params.n > 3 %}select 1{% else %}select {{ job.step }}{% endif %}",
        "savepoint a; rollback to savepoint a",
        "select '{% raw %}{{1,2},{3,4}}{% endraw %}'::int[]",
        "select {{ params.missing | default(3) }}",
        "do $$ begin perform 1; end $$",
    ],
)
def test_sql_that_runs_is_content(found: Found, sql: str):
    text = (
        "name: p\nparams:\n  n: {type: integer, default: 3}\n"
        '  l: {type: list, default: [a]}\n  day: {type: date, default: "{{ run.logical_date }}"}\n'
        "steps: [{id: a, job: RunSql, with: {sql_path: x.sql}}]\n"
    )
    assert found(text, code=0, x=sql) == []


@pytest.mark.parametrize(
    ("job", "with_", "said"),
    [
        ("RunSql", "sql: select 1, keep_rows: 100000", "keep_rows is a number from 0 to 10000"),
        ("RunSql", "sql: select 1, sql_path: x.sql", "either sql or sql_path"),
        ("RunSql", "sql_path: y.sql", "there is no file 'y.sql'"),
        ("RunSql", "sql_path: ../../../../x.sql", "leaves"),
        ("RunSql", "sql: delete from t, into: s.t", "into needs a SELECT"),
        ("RunSql", "sql: vacuum, into: s.t, transaction: false", "into needs the transaction"),
        ("RunSql", "sql: select 1, into: a.b.c", "too many dots"),
        ("Fibonacci", "n: -1", "n must be between 0"),
        ("Fibonacci", "n: \"{{ 'x' }}\"", "takes a whole number"),
        ("Fibonacci", 'n: "{{ run.logical_date }}"', "takes a whole number"),
        ("SlowQuery", "duration: 100000", "duration must be between"),
        ("TruncateTable", "table: a.b.c.d", "is not an identifier"),
        ("TruncateTable", "table: \"{{ ''.__class__ }}\"", "__class__"),
        ("LoadFile", "path: a.csv, table: t, delimiter: ab", "delimiter must be one character"),
        ("LoadFile", "path: ../../../etc/passwd, table: t", "leaves"),
        ("ArchiveRows", "table: t, into: u, column: c, older_than: 3 months", "is not an age"),
        ("ArchiveRows", "table: t, into: u, column: c", "either older_than or before"),
        ("ArchiveRows", "table: t, column: c, older_than: 3d, path: ../../../x.csv", "leaves"),
        ("ExportQuery", "sql: select 1, path: ../../../x.csv", "leaves"),
        ("HttpExtract", 'url: "https://api.example.com", path: ../../../x.json', "leaves"),
        ("CheckData", "table: t", "nothing to check"),
        ("CheckData", "sql: select 1; select 2", "a check must be one query"),
        ("ExportQuery", "path: a.csv, sql: select 1; select 2", "an export must be one query"),
        ("DataAggregation", "table: t, group_by: a, aggregates: {x: summ(a)}", "none of sum"),
        ("DataAggregation", "table: t, group_by: a, sort_by: b", "not a column of the result"),
        ("SyncTable", "source_table: a, target_table: b, key: id, columns: [c]", "include the key"),
        (
            "SyncTable",
            "source_table: a, target_table: b, key: id, source_connection: warehose",
            "unknown connection",
        ),
        ("HttpExtract", 'url: "https://api.example.org", into: t', "is not among"),
        ("HttpExtract", "url: api.example.com, into: t", "is not an http"),
        ("HttpExtract", 'url: "https://api.example.com", into: t, path: x', "either into or path"),
        (
            "HttpExtract",
            'url: "https://api.example.com", into: t, headers: {X Key: a}',
            "the header 'X Key' has no name",
        ),
        (
            "HttpExtract",
            'url: "https://api.example.com", into: t, headers: {X-Key: "5 €"}',
            "the header X-Key holds a character outside Latin-1",
        ),
        ("ShellCommand", "command: []", "command is empty"),
        ("ShellCommand", "command: [ls], cwd: nowhere", "there is no folder"),
    ],
)
def test_arguments_that_a_job_refuses(found: Found, job: str, with_: str, said: str):
    item = found(step(job, with_), x="select 1")[0]
    assert said in item["message"], item
    assert item["line"] == 3
    assert item["hint"]


def test_a_header_is_refused_though_only_a_run_knows_the_url(found: Found):
    text = HEAD + (
        "  - {id: a, job: HttpExtract, depends_on: [load], with: {path: x, url: "
        '"https://api.example.com/{{ steps.load.result.row_count }}", '
        'headers: {X-Run: "{{ steps.load.result.row_count }}", X-Key: "a\\nb"}}}\n'
    )
    assert "the header X-Key contains a line break" in one(found(text))["message"]


def test_what_only_a_run_knows_is_left_alone(found: Found):
    text = """\
name: p
params: {table: {required: true}, n: {type: integer, required: true}, mode: {}}
steps:
  - {id: a, job: TruncateTable, with: {table: "{{ params.table }}"}}
  - {id: b, job: RunSql, with: {sql_path: "{{ params.table }}.sql"}}
  - {id: c, job: Fibonacci, with: {n: "{{ params.n }}"}}
  - {id: d, job: LoadFile, with: {path: "{{ params.table }}.csv", table: s.t}}
  - {id: e, job: RunSql, with: {sql: "select 1 as n"}}
  - {id: f, job: Fibonacci, depends_on: [e], with: {n: "{{ steps.e.result.rows[0].n }}"}}
  - {id: g, job: TruncateTable, when: params.mode == 'x', with: {table: "{{ params.mode }}"}}
"""
    assert found(text, code=0) == []


def test_sql_over_parameters_that_only_a_run_knows_is_left_alone(found: Found):
    text = """\
name: p
params: {code: {required: true}, n: {type: integer, default: 0}}
steps:
  - {id: a, job: RunSql, with: {sql: "select {{ params.code | identifier }}"}}
  - {id: b, job: RunSql, with: {sql: "select {{ params.code }}, {{ 6 // params.n }}"}}
  - {id: c, job: CheckData, with: {sql: "select 1 from {{ params.code | identifier }}"}}
"""
    assert found(text, code=0) == []
    known = text.replace("code: {required: true}, ", "").replace("params.code", "'x'")
    assert [item["line"] for item in found(known)] == [5], "without one all of it is known"


def test_a_step_that_may_not_run_is_held_to_what_it_says_itself_only(found: Found):
    text = """\
name: p
params: {mode: {default: daily}}
steps:
  - {id: a, job: RunSql, when: "params.mode == 'full'", with: {sql_path: "{{ params.mode }}.sql"}}
"""
    assert found(text, code=0) == []


def test_a_default_that_a_plain_run_would_be_refused_for(found: Found):
    text = """\
name: p
params: {table: {default: "no.such.table.name"}}
steps: [{id: a, job: TruncateTable, with: {table: "{{ params.table }}"}}]
"""
    assert "is not an identifier" in one(found(text))["message"]


@pytest.mark.parametrize(
    ("job", "with_", "quoted"),
    [
        ("ShellCommand", "command: [sleep, 1.50]", "1.50"),
        ("ShellCommand", "command: [echo, 0x1F]", "0x1F"),
        ("ShellCommand", "command: [echo, 1e3]", "1e3"),
        ("ShellCommand", "command: [echo, 007]", "007"),
        (
            "HttpExtract",
            'url: "https://api.example.com", into: t, query: {v: 1.10}',
            "1.10",
        ),
        ("HttpExtract", 'url: "https://api.example.com", into: t, query: {v: 0012}', "0012"),
        ("HttpExtract", 'url: "https://api.example.com", into: t, query: {v: [1e5]}', "1e5"),
        ("RunSql", "sql: select 1, params: {a: 12345678901234567.89}", "12345678901234567.89"),
    ],
)
def test_a_number_that_would_be_spelt_anew_is_to_be_quoted(
    found: Found, job: str, with_: str, quoted: str
):
    item = one(found(step(job, with_)))
    assert (item["code"], item["hint"]) == ("changed-number", f'quote it: "{quoted}"')
    assert item["column"] == step(job, with_).index(quoted) + 1


def test_a_number_that_stays_is_content(found: Found):
    text = step("ShellCommand", "command: [echo, 8080, 1.5, -3]")
    assert (
        found(
            text + step("RunSql", "sql: select 1, params: {a: 1.10}").replace("a,", "b,", 1), code=0
        )
        == []
    )


@pytest.mark.parametrize(
    ("job", "with_", "said"),
    [
        ("RunSql", "sql: select 1, keep_rows: 100000", "keep_rows is a number"),
        ("RunSql", "keep_rows: 10", "either sql or sql_path"),
        ("RunSql", "sql: delete from t, into: s.t", "into needs a SELECT"),
        ("ExportQuery", "path: a.csv, sql: select 1; select 2", "one query"),
        ("CheckData", "sql: select 1; select 2", "a check must be one query"),
    ],
)
def test_one_value_that_only_a_run_knows_hides_no_other_mistake(
    found: Found, job: str, with_: str, said: str
):
    text = (
        "  - {id: a, job: RunSql, with: {sql: select 1}}\n"
        f"  - {{id: b, job: {job}, depends_on: [a],\n"
        f'     with: {{{with_}, params: {{x: "{{{{ steps.a.result.row_count }}}}"}}}}}}\n'
    )
    assert said in one(found(text))["message"]


def test_an_unknown_value_of_an_option_is_no_mistake(found: Found):
    text = """\
name: p
params: {d: {required: true}, o: {required: true}, n: {type: integer, required: true}}
steps:
  - {id: a, job: LoadFile, with: {path: a.csv, table: s.t, delimiter: "{{ params.d }}"}}
  - {id: b, job: ArchiveRows, with: {table: a, into: b, column: c, older_than: "{{ params.o }}"}}
  - {id: c, job: RunSql, with: {sql: select 1, keep_rows: "{{ params.n }}"}}
  - {id: d, job: DataAggregation, with: {table: t, group_by: ["{{ params.o }}"], sort_by: x_y}}
"""
    assert found(text, code=0) == []


@pytest.mark.parametrize(
    ("job", "with_"),
    [
        ("Fibonacci", "n: -1"),
        ("Fibonacci", "n: \"{{ 'x' }}\""),
        ("RunSql", "sql: select 1, keep_rows: 100000"),
        ("ExportQuery", "path: ../../../x.csv, sql: select 1"),
        ("RunSql", "sql: vacuum"),
        ("HttpExtract", 'url: "https://api.example.org", into: t'),
        ("TruncateTable", "table: a.b.c.d"),
    ],
)
def test_plan_refuses_what_validate_refuses(
    found: Found, capsys: pytest.CaptureFixture[str], job: str, with_: str
):
    found(step(job, with_))
    assert main(["plan", "p"]) == 1
    capsys.readouterr()


def test_what_a_step_gives_a_pipeline_is_what_that_one_takes(found: Found, tmp_path: Path):
    (tmp_path / "pipelines" / "child.yaml").write_text(
        "name: child\nparams: {n: {type: integer, max: 5}, r: {enum: [eu, us]}}\n"
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    text = """\
name: p
params:
  day: {type: date, required: true}
  r: {default: europe}
  size: {type: integer, default: 7}
steps:
  - {id: a, pipeline: child, with: {n: "{{ params.size }}"}}
  - {id: b, pipeline: child, with: {r: "{{ params.r }}"}}
  - {id: c, pipeline: child}
  - {id: d, pipeline: child, with: {n: "{{ params.size - 3 }}", r: "{{ params.r[:2] }}"}}
"""
    items = found(text)
    assert [(item["line"], item["code"]) for item in items] == [
        (7, "wrong-type"),
        (8, "wrong-type"),
    ]


def test_a_text_that_only_a_run_knows_may_be_any_word(found: Found):
    text = """\
name: p
params: {text: {required: true}, count: {type: integer, required: true}}
steps:
  - {id: a, job: LoadFile, with: {path: a.csv, table: t, format: "{{ params.text }}"}}
  - {id: b, job: LoadFile, with: {path: a.csv, table: t, format: "{{ params.count }}"}}
  - {id: c, job: Fibonacci, with: {n: "{{ params.text }}"}}
"""
    items = [item for item in found(text) if item["severity"] == "error"]
    assert [(item["line"], item["code"]) for item in items] == [
        (5, "wrong-type"),
        (6, "wrong-type"),
    ]


def test_no_built_in_job_returns_a_key_that_it_does_not_name():
    # Templates that speak of another key are refused before a run.
    registry = Registry()
    for name in registry.names():
        known = registry.result_keys(name)
        tree = ast.parse(inspect.getsource(registry.get(name).cls))
        returned = {
            key.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Dict)
            for key in node.value.keys
            if isinstance(key, ast.Constant)
        }
        assert known is None or returned <= set(known), name


def test_a_comparison_in_sql_that_cannot_hold_has_its_place(found: Found):
    text = (
        "  - id: a\n    job: RunSql\n    with:\n      params: {n: 5}\n      sql: |\n"
        "        select 1\n        {% if params.n == 'eu' %} + 1{% endif %}\n"
    )
    item = one(found(text))
    assert (item["code"], item["line"]) == ("bad-comparison", 9)


@pytest.mark.parametrize(
    "value",
    [
        "run.status",
        "run.logical_date",
        "run.date",
        "run.started_at",
        "run.failed_steps",
        "steps.load.status",
        "steps['load-orders'].status",
        "params.day",
    ],
)
def test_a_value_is_called_what_it_is_called_in_the_file(found: Found, value: str):
    text = f"{{% set s = {value} %}}{{{{ s.foo }}}}"
    handler = f'    - {{id: h, job: RunSql, with: {{sql: select 1, params: {{v: "{text}"}}}}}}\n'
    items = found(HEAD + "handlers:\n  finally:\n" + handler)
    told = [item["message"] for item in items if item["line"] == 12]
    assert len(told) == 1, items
    assert told[0].startswith(f"{value} is ")
    assert told[0].endswith(' and has no "foo"')
