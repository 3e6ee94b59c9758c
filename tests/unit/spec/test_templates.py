"""Step templates: what is replaced by what, and where problems are told."""

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import Settings
from headrace.declarations.defaults import Defaults
from headrace.declarations.lint.sql_warnings import lint
from headrace.declarations.load import load_folder
from headrace.declarations.loaded_file import LoadResult
from headrace.declarations.one_file import load_file, load_text
from headrace.declarations.schemas import schema
from headrace.declarations.step_templates.substitution import (
    NoText,
    Substitution,
    TooLarge,
    names_in,
)
from tests.support.catalogue import SmallCatalogue

VALUES = {"text": "a b", "n": 5, "x": 1.5, "yes": True, "list": [1, [2]], "none": None}
LATER = {"text": "{{ params.day }}"}


@pytest.mark.parametrize(
    ("written", "becomes"),
    [
        ("{{ template.text }}", "a b"),
        ("{{template.n}}", 5),
        ("{{ template.x }}", 1.5),
        ("{{ template.yes }}", True),
        ("{{ template.list }}", [1, [2]]),
        ("{{ template.none }}", None),
        ("n={{ template.n }}, {{ template.yes }}", "n=5, true"),
        (" {{ template.n }}", " 5"),
        ({"a": ["{{ template.n }}", {"b": "{{ template.text }}!"}]}, {"a": [5, {"b": "a b!"}]}),
        ("{{ params.day }}/{{ template.text }}", "{{ params.day }}/a b"),
        ("{{ template.unknown }}", "{{ template.unknown }}"),
        ("{{ template.n + 1 }}", "{{ template.n + 1 }}"),
        ("template.n", "template.n"),
        (7, 7),
    ],
)
def test_a_parameter_keeps_its_type_unless_it_stands_inside_a_text(written: Any, becomes: Any):
    made = Substitution().step({"with": written}, VALUES)["with"]

    assert made == becomes
    assert type(made) is type(becomes)


def test_a_template_inside_a_value_is_left_for_later_and_never_replaced_again():
    assert Substitution().step({"with": "x/{{ template.text }}"}, LATER) == {
        "with": "x/{{ params.day }}"
    }
    values = {"a": "{{ template.b }}", "b": "B"}
    assert Substitution().step({"with": "{{ template.a }}!"}, values) == {
        "with": "{{ template.b }}!"
    }


def test_a_condition_stays_a_text_whatever_the_parameters_type():
    assert Substitution().step({"when": "{{ template.yes }}"}, VALUES) == {"when": "true"}
    made = Substitution().step({"when": "steps.a.result.rows > {{ template.n }}"}, VALUES)
    assert made == {"when": "steps.a.result.rows > 5"}


@pytest.mark.parametrize("name", ["list", "none"])
def test_neither_a_list_nor_null_stands_inside_a_text(name: str):
    with pytest.raises(NoText, match="cannot be inside a text"):
        Substitution().step({"with": f"x{{{{ template.{name} }}}}"}, VALUES)


def test_what_one_file_expands_to_is_bounded():
    long = {"with": ["-{{ template.text }}" * 1000] * 20}
    with pytest.raises(TooLarge):
        Substitution().step(long, {"text": "x" * 1000})
    many = {"with": ["{{ template.list }}"] * 100}
    with pytest.raises(TooLarge):
        Substitution().step(many, {"list": [0] * 10_000})


def test_names_are_found_in_their_order():
    assert names_in("{{ template.b }} {{template.a}} {{ params.c }} template.d") == ["b", "a"]


LOAD = """\
templates:
  load:
    params: {table: {required: true}, n: {type: integer, default: 1}}
    step: {job: RunSql, queue: high, with: {sql: select 1, params: {n: "{{ template.n }}"}}}
"""
USES = "name: {name}\nsteps:\n  - {{id: a, template: load, with: {{table: t}}}}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, tmp_path)


def load(folder: Path, settings: Settings) -> LoadResult:
    return load_folder(folder, SmallCatalogue(), settings)


def test_a_template_beats_the_defaults_and_the_step_beats_the_template(
    tmp_path: Path, settings: Settings
):
    (tmp_path / "_defaults.yaml").write_text("queue: low\n" + LOAD)
    (tmp_path / "p.yaml").write_text(
        USES.format(name="p") + "  - {id: b, template: load, queue: medium, with: {table: t}}\n"
        "  - {id: c, job: FailedJob}\ndefaults: {queue: medium}\n"
    )

    steps = load(tmp_path, settings).pipelines["p"].steps

    assert [step.queue for step in steps] == ["high", "medium", "medium"]


def test_the_version_changes_with_a_template_of_the_folder(tmp_path: Path, settings: Settings):
    (tmp_path / "p.yaml").write_text(USES.format(name="p"))
    (tmp_path / "_defaults.yaml").write_text(LOAD)
    before = load(tmp_path, settings).pipelines["p"]
    (tmp_path / "_defaults.yaml").write_text(LOAD.replace("default: 1", "default: 2"))
    after = load(tmp_path, settings).pipelines["p"]

    assert before.version != after.version
    assert (before.steps[0].with_["params"], after.steps[0].with_["params"]) == ({"n": 1}, {"n": 2})


def test_a_problem_of_a_folders_template_is_told_once_for_all_pipelines(
    tmp_path: Path, settings: Settings
):
    (tmp_path / "_defaults.yaml").write_text(LOAD.replace("high", "hihg"))
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(USES.format(name=name))

    result = load(tmp_path, settings)

    assert result.pipelines == {}
    assert [problem.code for problem in result.problems] == ["unknown-queue"]


def test_a_templates_fault_is_told_once_however_many_steps_use_it(settings: Settings):
    steps = "".join(f"  - {{id: s{n}, template: load, with: {{table: t}}}}\n" for n in range(50))
    text = f"name: p\n{LOAD}steps:\n{steps}".replace("sql: select 1", "sq: select 1")

    problems = load_text(text.encode(), Path("p.yaml"), SmallCatalogue(), settings).problems

    assert [(problem.code, problem.line) for problem in problems] == [("unknown-parameter", 5)]
    assert 'template "load" (used by step "s0")' in problems[0].message


def test_sql_is_not_made_of_a_templates_parameters(settings: Settings):
    text = f"name: p\n{LOAD}{USES.format(name='p')[8:]}".replace(
        "select 1", "'select {{ template.table }}'"
    )

    problems = load_text(text.encode(), Path("p.yaml"), SmallCatalogue(), settings).problems

    assert [problem.code for problem in problems] == ["template-in-sql"]
    assert 'params: {x: "{{ template.table }}"}' in problems[0].hint


def test_the_item_of_a_foreach_is_not_called_template(settings: Settings):
    text = "name: p\nsteps:\n  - {id: a, job: FailedJob, foreach: {items: [1], as: template}}\n"
    problems = load_text(text.encode(), Path("p.yaml"), SmallCatalogue(), settings).problems
    assert [problem.code for problem in problems] == ["bad-name"]


def test_an_unused_template_is_a_warning_and_can_be_silenced(tmp_path: Path, settings: Settings):
    path = tmp_path / "p.yaml"
    path.write_text(f"name: p\n{LOAD}steps: [{{id: a, job: FailedJob}}]\n")

    (found,) = lint(load(tmp_path, settings).pipelines.values(), settings, SmallCatalogue())

    assert (found.code, found.line, found.severity) == ("unused-template", 3, "warning")
    path.write_text(
        path.read_text().replace("  load:", "  load: # headrace: ignore[unused-template] for later")
    )
    assert lint(load(tmp_path, settings).pipelines.values(), settings, SmallCatalogue()) == []


def test_a_warning_about_a_templates_sql_is_told_once_at_the_template(
    tmp_path: Path, settings: Settings
):
    path = tmp_path / "p.yaml"
    steps = "steps: [{id: a, template: load, with: {table: t}}, {id: b, template: load, with: "
    path.write_text(f"name: p\n{LOAD}{steps}{{table: u}}}}]\n".replace("select 1", "delete from x"))

    found = lint(load(tmp_path, settings).pipelines.values(), settings, SmallCatalogue())

    assert [(one.code, one.line) for one in found] == [("no-where", 5), ("parallel-write", 6)]
    silenced = path.read_text().replace('"}}}\n', '"}}} # headrace: ignore[no-where] meant\n', 1)
    path.write_text(silenced)
    found = lint(load(tmp_path, settings).pipelines.values(), settings, SmallCatalogue())
    assert [one.code for one in found] == ["parallel-write"]


def test_a_template_that_a_handler_uses_is_used(tmp_path: Path, settings: Settings):
    (tmp_path / "p.yaml").write_text(
        f"name: p\n{LOAD}steps: [{{id: a, job: FailedJob}}]\n"
        "handlers: {finally: [{id: b, template: load, with: {table: t}}]}\n"
    )

    result = load(tmp_path, settings)

    assert result.pipelines["p"].handlers[0].job == "RunSql"
    assert lint(result.pipelines.values(), settings, SmallCatalogue()) == []


def test_ten_thousand_steps_of_one_template_load(settings: Settings):
    steps = "".join(
        f"  - {{id: s{n}, template: load, with: {{table: t}}}}\n" for n in range(10_000)
    )
    loaded = load_text(
        f"name: p\n{LOAD}steps:\n{steps}".encode(), Path("p.yaml"), SmallCatalogue(), settings
    )
    assert loaded.problems == []


def test_a_defaults_file_takes_what_defaults_take_and_templates():
    keys = set(schema("defaults")["properties"])
    of_runs = {"notify", "deadline", "expected_duration"}
    of_steps = schema("pipeline")["$defs"]["defaults"]["properties"].keys()
    assert keys == of_steps | of_runs | {"templates"}


def test_a_defaults_file_by_itself_tells_what_is_wrong_with_its_templates(
    tmp_path: Path, settings: Settings
):
    path = tmp_path / "_defaults.yaml"
    path.write_text(LOAD.replace("RunSql", "RunSlq"))
    defaults = Defaults(SmallCatalogue(), settings)
    loaded = load_file(path, SmallCatalogue(), settings, defaults)
    assert [problem.code for problem in loaded.outer] == ["unknown-job"]


def test_values_that_are_given_are_shown_as_they_are(settings: Settings):
    text = f"name: p\n{LOAD}{USES.format(name='p')[8:]}".replace("table: t}", "table: t, n: 7}")
    pipeline = load_text(text.encode(), Path("p.yaml"), SmallCatalogue(), settings).pipeline
    assert pipeline is not None
    assert json.dumps(pipeline.steps[0].with_["params"]) == '{"n": 7}'


def test_the_values_of_a_mapping_in_a_list_count_among_those_of_a_file():
    mapping = {f"k{n}": n for n in range(1_000)}
    # Each time 1,002 values, of the 500,000 that there may be.
    for times, fits in ((498, True), (499, False)):
        many = {"with": ["{{ template.list }}"] * times}
        if fits:
            assert Substitution().step(many, {"list": [mapping]}) == {"with": [[mapping]] * times}
            continue
        with pytest.raises(TooLarge):
            Substitution().step(many, {"list": [mapping]})


@pytest.mark.parametrize(
    ("body", "given", "place", "code", "told"),
    [
        (
            '{r: [{"{{ template.x }}": 1}]}', "a", (5, 61), "bad-template",
            (
                'template "t" (used by step "a") has a key that contains a parameter',
                "only values can contain parameters",
            ),
        ),
        (
            '{r: "a {{ template.x }}"}', "null", (6, 40), "wrong-type",
            (
                'step "a": the parameter "x" of template "t": null cannot be inside a text',
                "write a text, or declare a default in the template",
            ),
        ),
    ],
)  # fmt: skip
def test_what_a_template_cannot_do_with_its_parameter_has_its_place(
    tmp_path: Path,
    settings: Settings,
    body: str,
    given: str,
    place: tuple[int, int],
    code: str,
    told: tuple[str, str],
):
    (tmp_path / "p.yaml").write_text(
        "name: p\ntemplates:\n  t:\n    params: {x: {type: string}}\n"
        f"    step: {{job: RunSql, with: {{sql: select 1, params: {body}}}}}\n"
        f"steps: [{{id: a, template: t, with: {{x: {given}}}}}]\n"
    )

    (problem,) = load(tmp_path, settings).problems

    assert (problem.line, problem.column, problem.code) == (*place, code)
    assert (problem.message, problem.hint) == told
