"""A number is refused wherever a template would write it into a text in another spelling."""

from typing import Any

import pytest

from tests.unit.cli.test_validate_finds import Found, found, one

__all__ = ["found"]


def steps(*lines: str, params: str = "{}") -> str:
    return f"name: p\nparams: {params}\nsteps:\n" + "".join(f"  - {line}\n" for line in lines)


def shell(with_: str, more: str = "") -> str:
    return f"{{id: a, job: ShellCommand, {more}with: {{command: {with_}}}}}"


URL = "url: 'https://api.example.com/', path: exports/x"
FETCH = f"{{id: a, job: HttpExtract, foreach: {{items: %s}}, with: {{{URL}, query: {{v: '%s'}}}}}}"


def told(item: dict[str, Any], number: str) -> bool:
    return item["code"] == "changed-number" and f"the number {number} would" in item["message"]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (shell("[echo, '{{ item }}']", "foreach: {items: [5, 0012]}, "), "0012"),
        (shell("[echo, '--v={{ item.v }}']", "foreach: {items: [{v: 1.10}]}, "), "1.10"),
        (shell("[echo, '{{ v ~ 1 }}']", "foreach: {items: [1e5], as: v}, "), "1e5"),
        (shell("[ls]", "env: {V: '{{ item }}'}, foreach: {items: [0x1F]}, "), "0x1F"),
        (FETCH % ("[1.10]", "{{ item }}"), "1.10"),
        (FETCH % ("[{v: [1, 0012]}]", "{{ item.v | join }}"), "0012"),
        (
            (
                "{id: a, job: LoadFile, foreach: {items: [007]}, "
                "with: {path: 'x-{{ item }}.csv', table: t}}"
            ),
            "007",
        ),
    ],
)
def test_an_item_that_a_template_spells_anew_is_to_be_quoted(found: Found, line: str, number: str):
    item = one(found(steps(line)))
    assert told(item, number)
    assert item["hint"] == f'quote it: "{number}"'
    assert item["column"] == f"  - {line}".index(number) + 1


@pytest.mark.parametrize(
    "line",
    [
        shell("[echo, '{{ params.w }}']"),
        shell("[echo, 'w={{ params.w }}']"),
        shell("[echo, '{% if params.w %}{{ params.w }}{% endif %}']"),
        shell("[ls]", "env: {W: '{{ params.w if params.w else 1 }}'}, "),
        FETCH % ("[a]", "{{ params.w }}"),
    ],
)
def test_a_default_that_a_template_spells_anew_is_to_be_declared_a_text(found: Found, line: str):
    item = one(found(steps(line, params="{w: {type: number, default: 1.10}}")))
    assert told(item, "1.10")
    assert item["hint"] == 'declare it as a text: {type: string, default: "1.10"}'
    assert item["line"] == 2


def test_items_that_are_a_parameter_are_looked_up_in_its_default(found: Found):
    line = shell("[echo, '{{ item.a }}']", "foreach: {items: '{{ params.l }}'}, ")
    params = "{l: {type: list, default: [{a: 0012, b: 0013}]}}"
    assert told(one(found(steps(line, params=params))), "0012")


def test_a_loop_writes_out_the_list_that_it_goes_through(found: Found):
    line = shell("[echo, '{% for x in params.l %}{{ x }} {% endfor %}']")
    assert told(one(found(steps(line, params="{l: {type: list, default: [0012]}}"))), "0012")


@pytest.mark.parametrize(
    "line",
    [
        (
            "{id: a, job: RunSql, foreach: {items: [1.50]}, "
            "with: {sql: 'select {{ params.i }}', params: {i: '{{ item }}', w: '{{ params.w }}'}}}"
        ),
        shell("[echo, '{{ item }}']", "foreach: {items: [5, 1.5, '0012']}, "),
        shell("[echo, '{{ params.w * 2 }}']"),
        shell("[echo, '{{ item.a }}']", "foreach: {items: [{a: 1, b: 0012}]}, "),
    ],
)
def test_a_number_that_stays_a_value_is_content(found: Found, line: str):
    params = "{w: {type: number, default: 1.10}}"
    assert found(steps(line, params=params), code=0) == []


@pytest.mark.parametrize("number", ["1e-400", "1e-99999999999999999999"])
def test_a_number_too_small_for_any_value_is_told_and_does_not_become_zero_silently(
    found: Found, number: str
):
    item = one(
        found(steps(f"{{id: a, job: RunSql, with: {{sql: select 1, params: {{x: {number}}}}}}}"))
    )
    assert item["code"] == "changed-number"
    assert item["message"].endswith(f"{number} has more digits than are kept: it becomes 0.0")


def test_a_default_that_the_environment_of_all_steps_spells_anew_is_told(found: Found):
    text = steps(shell("[ls]"), params="{w: {type: number, default: 1.10}}")
    item = one(found(text.replace("steps:", "defaults: {env: {W: '{{ params.w }}'}}\nsteps:")))
    assert told(item, "1.10")
