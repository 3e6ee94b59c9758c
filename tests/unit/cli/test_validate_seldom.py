"""Mistakes that are seldom made are told by `headrace validate` like any other."""

from pathlib import Path

import pytest

from tests.unit.cli.test_validate_finds import Found, found, one

__all__ = ["found"]

STEPS = "steps: [{id: load-orders, job: Fibonacci, with: {n: 3}}, %s]\n"


def told(found: Found, text: str, code: int = 1) -> list[tuple[str, int, str]]:
    return [
        (item["code"], item["line"], f"{item['message']}; {item['hint']}")
        for item in found(text, code=code)
    ]


@pytest.mark.parametrize(
    ("params", "step", "code", "message"),
    [
        (
            "l: {type: list, default: [a]}",
            '{id: a, job: ShellCommand, env: {A: "{{ params.l }}"}, with: {command: [ls]}}',
            "wrong-type",
            "an environment variable contains text, not a list; join a list: … | join(',')",
        ),
        (
            "l: {default: x}",
            (
                "{id: a, job: RunSql, depends_on: [load-orders], with: {sql: select 1,"
                ' params: {x: "{{ steps.load-orders.result }}"}}}'
            ),
            "unknown-name",
            "a name with a hyphen is written steps['load-orders']",
        ),
        ("l: {pattern: '(', default: x}", "{id: a, job: X}", "bad-pattern", "is not a regular"),
        ("l: {enum: [a, b], default: c}", "{id: a, job: X}", "bad-default", "c"),
        ("l: {type: integer, max: 3, default: 5}", "{id: a, job: X}", "bad-default", "3"),
        ("l: {type: integer, default: {a: 1}}", "{id: a, job: X}", "bad-default", "a mapping"),
        ("l: {type: integer, default: [1]}", "{id: a, job: X}", "bad-default", "a list"),
        (
            "z: {type: integer, default: 0}",
            '{id: a, job: Fibonacci, with: {n: "{{ 1 // params.z }}"}}',
            "bad-template",
            "ZeroDivisionError",
        ),
        (
            "z: {type: integer, default: 0}",
            '{id: a, pipeline: child, with: {n: "{{ 1 // params.z }}"}}',
            "bad-template",
            "ZeroDivisionError",
        ),
        (
            "z: {type: list, default: []}",
            (
                '{id: a, job: Fibonacci, foreach: {items: "{{ params.z | first }}", as: i},'
                " with: {n: 3}}"
            ),
            "bad-template",
            'step "a": value: No first item, sequence was empty.',
        ),
        (
            "z: {type: list, default: [7]}",
            '{id: a, job: Fibonacci, foreach: {items: "{{ params.z[0] }}", as: i}, with: {n: 3}}',
            "refused-value",
            'step "a": 7 is not a list',
        ),
    ],
)
def test_it_has_its_place_and_its_words(
    found: Found, tmp_path: Path, params: str, step: str, code: str, message: str
) -> None:
    (tmp_path / "pipelines" / "child.yaml").write_text(
        "name: child\nparams: {n: {type: integer}}\n"
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    step = step.replace("job: X", "job: Fibonacci, with: {n: 3}")
    text = f"name: p\nparams: {{{params}}}\n{STEPS % step}"
    found_here = [item for item in told(found, text) if item[0] == code]
    assert found_here
    assert message in found_here[0][2]


def test_a_null_is_given_on_where_the_other_pipeline_takes_none(
    found: Found, tmp_path: Path
) -> None:
    (tmp_path / "pipelines" / "child.yaml").write_text(
        "name: child\nparams: {n: {type: integer}, m: {type: integer, default: 1}}\n"
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    text = "name: p\nsteps: [{id: a, pipeline: child, with: {%s: null}}]\n"
    assert told(found, text % "n", code=0) == []
    ((code, line, message),) = told(found, text % "m")
    assert (code, line) == ("wrong-type", 2)
    assert '"m"' in message


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ('env: {A: "{{ params.x"}\n', "bad-template", "this is not a valid template"),
        (None, "unreadable-file", "is a folder, not a file that can be read"),
    ],
)
def test_a_mistake_in_the_defaults_of_a_folder_is_told_there(
    found: Found, tmp_path: Path, content: str | None, code: str, message: str
) -> None:
    path = tmp_path / "pipelines" / "_defaults.yaml"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    items = found("name: p\nsteps: [{id: a, job: Fibonacci, with: {n: 3}}]\n")
    item = one([item for item in items if item["code"] == code])
    assert Path(item["file"]).name == "_defaults.yaml"
    assert message in item["message"]
    assert item["hint"]


def test_a_broken_upstream_hides_no_mistake_about_another_one(found: Found, tmp_path: Path) -> None:
    folder = tmp_path / "pipelines"
    (folder / "broken.yaml").write_text("name: broken\nsteps: []\n")
    (folder / "up.yaml").write_text("name: up\nsteps: [{id: a, job: Fibonacci, with: {n: 3}}]\n")
    given = '{n: "{{ upstream.broken.params.n }}", m: "{{ upstream.up.params.m }}"}'
    items = found(
        f"name: p\ntrigger: {{pipelines: [broken, up], with: {given}}}\n"
        "params: {n: {}, m: {}}\nsteps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    item = one([item for item in items if item["code"] == "unknown-param"])
    assert item["message"] == 'pipeline "up" has no parameter "m"'
    assert item["hint"] == "it declares none"


def test_a_default_that_a_required_parameter_decides_is_left_to_the_run(found: Found) -> None:
    text = """\
name: p
params: {day: {%s}, file: {default: "{{ params.day }}.csv"}}
steps: [{id: a, job: LoadFile, with: {path: "../{{ params.file }}", table: t}}]
"""
    assert told(found, text % "required: true", code=0) == []
    ((code, _line, message),) = told(found, text % "default: may")
    assert code == "bad-path"
    assert 'step "a": the path "../may.csv" leaves the folders for files' in message


@pytest.mark.parametrize(("inner", "code"), [("other", 0), ("mine", 1)])
def test_a_pipeline_that_is_run_may_wait_for_a_group_that_nobody_above_it_holds(
    found: Found, tmp_path: Path, inner: str, code: int
) -> None:
    pipeline = "name: %s\nconcurrency: {limit: 1, group: %s}\nsteps: [{id: a, %s}]\n"
    job = "job: Fibonacci, with: {n: 3}"
    folder = tmp_path / "pipelines"
    (folder / "middle.yaml").write_text(pipeline % ("middle", "between", "pipeline: inner"))
    (folder / "inner.yaml").write_text(pipeline % ("inner", inner, job))
    # A group of one pipeline alone is waited for by nobody else.
    for group in ("mine", "other"):
        (folder / f"beside_{group}.yaml").write_text(pipeline % (f"beside_{group}", group, job))

    problems = told(found, pipeline % ("p", "mine", "pipeline: middle"), code=code)

    assert [(problem[0], problem[1]) for problem in problems] == [("pipeline-cycle", 3)] * code
    if code:
        assert "inner is in this pipeline's concurrency group mine, too" in problems[0][2]


ITEMS = """\
name: p
params: {a: {type: list, default: [1.50]}, b: {type: list, default: [2.50]}}
steps: [{id: a, job: Fibonacci, foreach: {items: "%s", as: i}, env: {A: "n {{ i }}"}, with: {n: 3}}]
"""


def test_a_number_of_one_list_of_items_keeps_its_digits_and_of_two_nobody_knows_which(
    found: Found,
) -> None:
    ((code, line, message),) = told(found, ITEMS % "{{ params.a }}")
    assert (code, line) == ("changed-number", 2)
    assert message == 'the number 1.50 would become the text 1.5; quote it: "1.50"'
    assert told(found, ITEMS % "{{ params.a + params.b }}", code=0) == []


def test_a_rule_that_is_none_itself_is_told_once(found: Found) -> None:
    text = "name: p\nparams: {n: {type: %s, %s}}\nsteps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"

    for kind, rule, shown in (
        ("integer", "min: [1], default: 3", "a list"),
        ("string", "min: {a: 1}, default: x", "a mapping"),
    ):
        ((code, _line, message),) = told(found, text % (kind, rule))
        assert code == "wrong-type"
        assert message.startswith(f'"min" of parameter "n" takes a number or text, not {shown}; ')
    ((code, _line, message),) = told(found, text % ("integer", "min: 4, default: 3"))
    assert code == "bad-default"


VARIABLES = """\
name: p
params: {n: {type: integer, required: true}, z: {type: integer, default: 0}}
steps:
  - {id: a, job: RunSql, with: {sql: select 1}}
  - id: b
    job: RunSql
    depends_on: [a]
    foreach: {items: "{{ steps.a.result.rows }}", as: i}
    with: {sql: select 1}
    env: {A: "%s"}
"""


@pytest.mark.parametrize(
    "said", ["{{ 5 // params.n }}", "{{ 5 // steps.a.result.row_count }}", "{{ i.a }}", "$$5"]
)
def test_a_variable_whose_value_only_a_run_knows_is_content(found: Found, said: str):
    assert found(VARIABLES % said, code=0) == []


def test_a_variable_that_no_run_can_have_is_told_at_its_place(found: Found):
    item = one(found(VARIABLES % "{{ 5 // params.z }}"))

    division = "ZeroDivisionError: integer division or modulo by zero"
    assert (item["line"], item["message"]) == (10, f'step "b": value: {division}')
