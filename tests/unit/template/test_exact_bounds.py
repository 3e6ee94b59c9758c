"""A bound is exactly what its error says: that much is taken, one more is refused."""

from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.calendar_files import _lines
from headrace.declarations.config.notification_texts import NAMES, rendered_texts
from headrace.declarations.schemas import check
from headrace.declarations.source import parse
from headrace.engine.planning.run_params import with_params
from headrace.errors import TemplateError
from headrace.model.duration import format_duration, parse_duration_s
from headrace.plan.cron.fields import check_cron
from headrace.template import render_value
from tests.unit.cli.test_validate_finds import Found, found

__all__ = ["found"]


@pytest.mark.parametrize(
    ("template", "size", "told"),
    [
        ("{{ ('x' * n) | length }}", 1_000_000, "a value would be longer than 1,000,000"),
        ("{{ 'x' * (n // 2) }}{{ 'x' * (n - n // 2) }}", 1_000_000, "the result is longer than"),
        ("{{ range(n) }}", 100_000, "range is longer than 100,000"),
        ("{% for i in range(n - 1) %}{% endfor %}", 100_000, "loops run more than 100,000 times"),
        ("{{ 1 | round(n) }}", 100, "round takes from -100 to 100 places"),
        ("{{ 1 | round(-n) }}", 100, "round takes from -100 to 100 places"),
    ],
)
def test_a_template_makes_as_much_as_is_allowed_and_no_more(
    template: str, size: int, told: str
) -> None:
    render_value(template, {"n": size})
    with pytest.raises(TemplateError, match=told):
        render_value(template, {"n": size + 1})


def test_a_template_of_one_word_more_than_allowed_is_refused() -> None:
    # One that has just as many takes seconds to compile.
    with pytest.raises(TemplateError, match="more than 20,000 words and signs"):
        render_value("{{ [" + "1," * 9_999 + "] | length }}", {})


def test_a_duration_lasts_at_most_ten_years() -> None:
    assert parse_duration_s("3650d") == 3650 * 86400.0
    for text in ("3650.1d", "87601h"):
        with pytest.raises(ValueError, match=f'^"{text}" is longer than ten years$'):
            parse_duration_s(text)
    assert [parse_duration_s(f"2{unit}") for unit in "smhd"] == [2, 120, 7200, 172800]
    for text in ("", "5", "5 s", "s", "-1s", "1w", "٣s", "1s\n"):
        with pytest.raises(ValueError, match="is not a duration: write a number and"):
            parse_duration_s(text)
    seconds = (0, 1.5, 60, 90, 3600, 86400, 90000)
    assert [format_duration(one) for one in seconds] == "0s 1.5s 1m 90s 1h 1d 25h".split()
    for digits in (1234567.25, 0.00001, 20.0, 10 * 365 * 86400 - 0.5):
        assert parse_duration_s(format_duration(digits)) == digits


def test_a_cron_expression_has_at_most_five_hundred_characters() -> None:
    text = "0 0 * * " + "1," * 245 + "1"
    assert len(text) == 499
    assert check_cron(text + "1" * 0 + " ") is None
    assert check_cron(f"00 {text[2:]}") is None
    assert check_cron(f"00 00{text[3:]}") == "the cron expression is longer than 500 characters"


def test_at_most_two_hundred_departures_from_a_schema_are_told() -> None:
    document = parse("queues: [" + "1, " * 201 + "]", "f")
    assert len(check(document, "config")) == 200


def test_at_most_a_hundred_mistakes_of_one_kind_are_told(found: Found) -> None:
    steps = "".join(
        f"- {{id: s{n}, job: Fibonacci, with: {{n: 3}}, depends_on: [x{n}]}}\n" for n in range(101)
    )
    items = found(f"name: p\nsteps:\n{steps}")
    assert [item["code"] for item in items] == ["unknown-dependency"] * 100


def test_at_most_a_hundred_mistakes_of_a_calendar_are_told(found: Found, tmp_path: Path) -> None:
    (tmp_path / "pipelines" / "days.txt").write_text("x\n" * 101)
    dates, problems = _lines(b"x\n" * 101, "days.txt")
    assert (dates, len(problems)) == ([], 101)
    items = found(
        "name: p\nschedule: {cron: '@daily', calendar: {file: days.txt}}\n"
        "steps: [{id: a, job: Fibonacci, with: {n: 3}}]\n"
    )
    assert len([item for item in items if item["file"].endswith("days.txt")]) == 100


def test_a_subject_and_a_text_of_the_allowed_length_are_whole() -> None:
    def made(subject: int, text: int) -> Any:
        known = {**NAMES, "error": "x" * subject, "status": "y" * text}
        return rendered_texts("{{ error }}", "{{ status }}", None, known)

    whole = made(200, 20_000)
    assert (whole.subject, whole.text) == ("x" * 200, "y" * 20_000)
    cut = made(201, 20_001)
    assert (cut.subject, cut.text) == ("x" * 199 + "…", "y" * 19_999 + "…")


def test_a_body_of_the_allowed_length_is_sent_and_what_json_lacks_is_refused() -> None:
    made = rendered_texts(None, None, {"a": "x" * (1_000_000 - 9)}, NAMES)
    assert made.body is not None
    assert len(made.body) == 1_000_000
    with pytest.raises(TemplateError, match="body: it is longer than 1,000,000 characters"):
        rendered_texts(None, None, {"a": "x" * (1_000_000 - 8)}, NAMES)
    with pytest.raises(TemplateError, match="body: JSON has no form for it"):
        rendered_texts(None, None, {"a": float("nan")}, NAMES)


def test_of_many_items_the_twentieth_is_tried_and_no_later_one(found: Found) -> None:
    for at, code in ((19, 1), (20, 0)):
        items = ", ".join("-1" if n == at else "1" for n in range(30))
        assert (
            len(
                found(
                    f"  - {{id: a, job: Fibonacci, foreach: {{items: [{items}], as: i}},"
                    ' with: {n: "{{ i }}"}}\n',
                    code=code,
                )
            )
            == code
        )


def test_the_jobs_of_items_are_given_lists_of_a_hundred_values_at_most() -> None:
    class Known:
        def get(self, _job: str) -> Any:
            return type("Kind", (), {"parameters": {"params": None}})

    registry: Any = Known()
    params = {"short": list(range(100)), "long": list(range(101)), "day": "x"}
    own = {"sql": "select 1", "params": {"day": "own"}}
    of_item = with_params(registry, "RunSql", own, params, of_item=True)
    assert of_item["params"] == {"short": list(range(100)), "day": "own"}
    alone = with_params(registry, "RunSql", own, params, of_item=False)
    assert alone["params"] == {**params, "day": "own"}
    assert with_params(registry, "RunSql", own, {}, of_item=False) is own
