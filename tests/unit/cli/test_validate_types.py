"""`headrace validate` follows types and nulls from where they are known to where they are used."""

from pathlib import Path

import pytest

from tests.unit.cli.test_validate_finds import Found, found, one

__all__ = ["found"]

ITEMS = """\
name: p
params: {deep: {type: boolean, default: false}}
steps:
  - {id: up, job: RunSql, when: params.deep, with: {sql: select 1}}
  - id: a
    job: RunSql
    depends_on: [up]
    foreach: {items: %s, as: one}
    with: {sql_path: x.sql, params: {x: "{{ one }}", n: "{{ steps.up.result.row_count }}", k: [1]}}
"""


@pytest.mark.parametrize(
    ("items", "sql", "said"),
    [
        ("[eu, us]", "select {{ params.x - 1 }}", "a text and a number"),
        ("[eu, us]", "select {{ params.x.value }}", 'is a text and has no "value"'),
        ("[1, 2]", "select {{ params.x + 'a' }}", "a number and a text"),
        ("[{a: 1}, {a: 2}]", "select {{ params.x.b }}", 'has no "b"'),
        ("[eu]", "select {{ params.n + 'a' }}", "a number and a text"),
        ("[eu]", "select {{ params.k.value }}", 'has no "value"'),
    ],
)
def test_a_value_handed_to_an_sql_file_is_held_to_its_type(
    found: Found, items: str, sql: str, said: str
):
    text = ITEMS % items
    if "params.n" in sql:
        text = text.replace(", as: one", "").replace("    foreach: {items: [eu]}\n", "")
        text = text.replace('x: "{{ one }}", ', "")
    else:
        text = text.replace('n: "{{ steps.up.result.row_count }}", ', "")
    item = one(found(text, x=f"\n{sql}\n"))
    assert said in item["message"]
    assert (Path(item["file"]).name, item["line"]) == ("x.sql", 2)


def test_an_entry_that_only_some_items_have_is_left_to_the_run(found: Found):
    text = (ITEMS % "[{a: 1}, {a: 2, b: 3}]").replace('n: "{{ steps.up.result.row_count }}", ', "")
    assert found(text, code=0, x="select {{ params.x.b | default(1) }}, {{ params.x.a + 1 }}") == []


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("steps.load.result.row_count + 'x'", "a number and a text"),
        ("steps.load.result.row_count > '5'", "which have no order"),
        ("steps.sh.result.output - 1", "a text and a number"),
        ("steps.sh.result.exit_code == '0'", "never equal"),
        ("steps.q.result.rows.value", 'has no "value"'),
        ("steps.q.result | tojson - 1", ""),
        ("(steps.q.result | tojson) - 1", "a text and a number"),
    ],
)
def test_a_result_is_held_to_the_type_that_its_job_names(found: Found, expression: str, said: str):
    text = (
        "  - {id: load, job: LoadFile, with: {path: a.csv, table: t}}\n"
        "  - {id: sh, job: ShellCommand, with: {command: [ls]}}\n"
        "  - {id: q, job: RunSql, with: {sql: select 1}}\n"
        "  - id: a\n    job: RunSql\n    depends_on: [load, sh, q]\n"
        f'    with: {{sql: select 1, params: {{x: "{{{{ {expression} }}}}"}}}}\n'
    )
    assert said in found(text)[0]["message"]


def test_results_used_as_what_they_are_are_content(found: Found):
    text = (
        "  - {id: load, job: LoadFile, with: {path: a.csv, table: t}}\n"
        "  - {id: q, job: RunSql, with: {sql: select 1}}\n"
        "  - id: a\n    job: RunSql\n    depends_on: [load, q]\n"
        "    when: steps.load.result.row_count / 2 > 1.5 and steps.q.result.rows[0].n | int > 0\n"
        "    with:\n      sql: select 1\n      params:\n"
        '        x: "{{ steps.q.result.truncated | default(false) }}"\n'
        '        y: "{{ steps.q.result.rows | length + 1 }} of {{ steps.load.result.table }}"\n'
    )
    assert found(text, code=0) == []


NULLS = """\
name: p
params:
  day: {type: date}
  n: {type: integer, default: null}
  names: {type: list}
  mode: {default: daily}
steps:
  - {id: load, job: RunSql, with: {sql: select 1}}
"""
LATER = "  - {{id: a, job: RunSql, depends_on: [load], {0}}}\n"


@pytest.mark.parametrize(
    "said",
    [
        "when: params.day.year > 2000, with: {sql: select 1}",
        "when: steps.load.result.row_count > 0 and params.day.year > 2000, with: {sql: select 1}",
        'with: {sql: select 1}, env: {N: "{{ params.n * 2 }}"}',
        'when: "false", with: {sql: select 1}, env: {N: "{{ params.n * 2 }}"}',
        'with: {sql: select 1, params: {x: "{{ steps.load.result.row_count + params.n }}"}}',
        'with: {sql: select 1, params: {x: "of {{ params.n }}"}}',
        'foreach: {items: "{{ params.names }}"}, with: {sql: select 1}',
        'with: {sql: select 1}, env: {N: "{{ params.n }}"}',
    ],
)
def test_what_fails_in_a_run_that_is_given_nothing_is_told_with_the_remedy(found: Found, said: str):
    item = one(found(NULLS + LATER.format(said)))
    assert item["line"] == 9
    assert "has null there)" in item["message"]
    assert "required: true" in item["hint"]


def test_a_job_that_takes_no_null_is_refused_for_a_null_parameter(found: Found):
    text = NULLS + '  - {id: b, job: Fibonacci, with: {n: "{{ params.n }}"}}\n'
    item = one(found(text))
    assert "takes a whole number (a run that is given no n has null there)" in item["message"]


@pytest.mark.parametrize(
    "said",
    [
        "when: params.day and params.day.year > 2000, with: {sql: select 1}",
        "when: params.day is not none and params.day.year > 2000, with: {sql: select 1}",
        "when: params.day is none or params.day.year > 2000, with: {sql: select 1}",
        "when: params.day != none and params.day.year > 2000, with: {sql: select 1}",
        "when: params.mode == 'full' and params.day.year > 2000, with: {sql: select 1}",
        'with: {sql: select 1}, env: {N: "{{ params.n * 2 if params.n else 1 }}"}',
        'with: {sql: select 1}, env: {N: "{% if params.n %}{{ params.n * 2 }}{% endif %}"}',
        "trigger_rule: one_failed, when: params.day.year > 2000, with: {sql: select 1}",
        'with: {sql: "select {{ params.n }}::int, {{ params.day }}::date"}',
    ],
)
def test_a_condition_that_asks_for_null_first_is_content(found: Found, said: str):
    assert found(NULLS + LATER.format(said), code=0) == []


def test_a_parameter_that_those_who_start_the_run_give_is_not_taken_for_null(
    found: Found, tmp_path: Path
):
    (tmp_path / "pipelines" / "parent.yaml").write_text(
        "name: parent\nsteps: [{id: a, pipeline: p, with: {day: 2026-01-31}}]\n"
    )
    said = "when: params.day.year > 2000, with: {sql: select 1}"
    assert found(NULLS + LATER.format(said), code=0) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ('params: {x: "{{ row.name() }}"}', "is a value, and cannot be called"),
        ('params: {x: "{{ row + 1 }}"}', "+ does not go with"),
        ("sql: \"select {{ ['a'] | inlist - 1 }}\"", "- does not go with"),
        ('sql: "select {{ params.x() }}"', "cannot be called"),
    ],
)
def test_a_row_is_a_mapping_and_no_data_is_called(found: Found, values: str, said: str):
    rest = 'params: {x: "{{ row.name }}"}' if values.startswith("sql") else "sql: select 1"
    text = (
        "  - {id: q, job: RunSql, with: {sql: select 1}}\n"
        "  - id: a\n    job: RunSql\n    depends_on: [q]\n"
        '    foreach: {items: "{{ steps.q.result.rows }}", as: row}\n'
        f"    with:\n      {values}\n      {rest}\n"
    )
    assert said in one(found(text))["message"]


def test_a_single_row_is_no_list_of_items(found: Found):
    text = (
        "  - {id: q, job: RunSql, with: {sql: select 1}}\n"
        "  - id: a\n    job: RunSql\n    depends_on: [q]\n    with: {sql: select 1}\n"
        '    foreach: {items: "{{ steps.q.result.rows[0] }}", as: row}\n'
    )
    assert one(found(text))["code"] == "bad-items"


def test_methods_of_what_only_a_run_knows_are_content(found: Found):
    text = (
        "  - {id: q, job: RunSql, with: {sql: select 1}}\n"
        "  - id: a\n    job: RunSql\n    depends_on: [q]\n    with:\n      sql: >-\n"
        "        {% macro m(x) %}{{ x }}{% endmacro %}\n"
        "        select {{ m(params.x.upper()) }}, {{ loop_ | default(1) }}\n"
        "      params:\n"
        '        x: "{{ steps.q.result.rows[0].name.strip() }}"\n'
        '        y: "{% for k, v in steps.q.result.rows[0].items() %}{{ loop.cycle(1, 2) }}'
        '{{ k.upper() }}{% endfor %}"\n'
    )
    assert found(text, code=0) == []
