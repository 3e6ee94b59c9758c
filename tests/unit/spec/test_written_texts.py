"""What YAML does to SQL, conditions and commands is told by the style in which they are written."""

import textwrap

import pytest

from headrace.declarations.lint.text_warnings import warnings_of_texts
from headrace.declarations.source import scan


def warned(with_: str, *, job: str = "RunSql") -> list[tuple[str, int]]:
    lines = textwrap.indent(textwrap.dedent(with_), "      ")
    text = f"name: p\nsteps:\n  - id: a\n    job: {job}\n    with:\n{lines}"
    document, problems = scan(text, "p.yaml")
    assert document is not None, problems
    assert not problems, problems
    return [(problem.code, problem.line) for problem in warnings_of_texts(document)]


@pytest.mark.parametrize(
    "sql",
    [
        "sql: >\n  delete from t -- all of it?\n  where id = 3\n",
        "sql: >-\n  delete from t -- all of it?\n  where id = 3\n",
        'sql: "delete from t -- all\n  where id = 3"\n',
        "sql: 'delete from t -- all\n  where id = 3'\n",
        "sql: delete from t -- all\n  where id = 3\n",
    ],
    ids=["folded", "folded-stripped", "double", "single", "plain"],
)
def test_a_comment_that_swallows_the_next_line_is_told_at_its_line(sql: str):
    line = 6 if "sql: >" not in sql else 7
    assert warned(sql) == [("swallowed-comment", line)]


@pytest.mark.parametrize(
    "sql",
    [
        "sql: |\n  delete from t -- all of it?\n  where id = 3\n",
        "sql: >\n  select '-- x'\n  where true\n",
        "sql: 'select 1 -- one'\n",
        "sql: >\n  select 1\n\n  -- c\n\n  where true\n",
        "sql: >\n  select 1\n  where true -- at the end\n",
        "sql: select '#' || 6\n",
        "params: {sql: select 6} # of no consequence\n",
        "sql: 'select 6' # one\n",
        "sql: 6 # one\n",
        # Only SQL and commands are read, and only where a job takes them.
        "params:\n  sql: select 6 # 3\n  command: echo 'a # b'\n",
        "note: it's # one\n",
        "note: >\n  select 1 -- one\n  where true\n",
        "sql: >\n  select /* one\n  two */ 3\n",
        'sql: "select 6" # one\nparams: {}\n',
        # A quote alone is the end of a text that stands around it.
        'sql: >\n  select 1 -- one\n  "\n',
    ],
)
def test_what_stays_as_it_was_meant_is_not_told(sql: str):
    assert warned(sql) == []


@pytest.mark.parametrize("sql", ["select 6 # 3", "select a #>> 'x' from t", "select a #- 'x'"])
def test_what_yaml_cuts_from_plain_sql_is_told(sql: str):
    assert warned(f"sql: {sql}\n") == warned(f"sql: {sql}") == [("cut-by-comment", 6)]
    assert warned(f'sql: "{sql}"\n') == []


def test_a_shell_comment_that_swallows_the_next_line_is_told():
    assert warned("command: >\n  echo a # say it\n  rm b\n", job="ShellCommand") == [
        ("swallowed-comment", 7)
    ]
    assert warned("command: |\n  echo a # say it\n  rm b\n", job="ShellCommand") == []
    assert warned("command: >\n  echo 'a # b'\n  c\n", job="ShellCommand") == []


@pytest.mark.parametrize(
    ("command", "is_told"),
    [
        ("echo 'a # b'", True),
        ('echo "a # b"', True),
        ("echo a #b", True),
        ("echo a #", True),
        ("echo a # b", False),
        ("echo 'a' # b", False),
        ("echo 'a' \"b\" # c", False),
        ("echo a # headrace: ignore[x] why", False),
        ("echo 'a # headrace: ignore[x] why", False),
        ("echo a#b", False),
    ],
)
def test_what_yaml_cuts_from_a_plain_command_is_told_unless_a_shell_does_so(
    command: str, is_told: bool
):
    told = [("cut-by-comment", 6)] if is_told else []
    assert warned(f"command: {command}\n", job="ShellCommand") == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("steps:\n  - id: a\n    when: params.n == 1 # only then\n", []),
        ("steps:\n  - id: a\n    when: true # always\n", []),
        ("steps:\n  - id: a\n    when: >\n      params.n --1\n      == 2\n", []),
        ("steps:\n  - id: a\n    when: params.n == '1 # only'\n", [("cut-by-comment", 3)]),
        ("description: it's # one\n", []),
        ("sql: select 6 # 3\n", []),
        ('{with: {sql: "select 1\n-- all\nfrom t"}}', [("swallowed-comment", 2)]),
    ],
)
def test_conditions_are_read_wherever_they_stand_and_sql_only_in_with(
    text: str, told: list[tuple[str, int]]
):
    document, _ = scan(text, "p.yaml")
    assert document is not None
    assert [(one.code, one.line) for one in warnings_of_texts(document)] == told
