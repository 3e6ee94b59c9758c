"""No template eats the process that renders it: neither its time nor its memory."""

import resource

import pytest

from headrace.errors import HeadraceError
from headrace.template import evaluate, render, render_value
from tests.support.template_bounds import BOUND

LONG = "x" * 900_000
COSTLY = [
    "{{ 1|round(30000000, 'ceil') }}",
    "{{ 1|round(30000000) }}",
    "{{ 1|round(-30000000, 'floor') }}",
    "{{ 1.5|round(10**9) }}",
    "{{ [params.long] * 2000 }}",
    "{{ ([params.long] * 30) ~ '' }}",
    "{{ [params.long, params.long, params.long]|upper }}",
    "{{ ([params.long] * 33)|sort }}",
    (
        "{% set a = [params.long] * 1 %}{% set b = a + a + a + a %}{% set c = b + b + b + b %}"
        "{{ (c + c + c)|sort|length }}"
    ),
    "{% set a = [1, 1] %}" + "{% set a = [a, a] %}" * 40 + "{{ a }}",
    "{% set a = [1, 1] %}{% set b = [1, 1] %}"
    + "{% set a = [a, a] %}{% set b = [b, b] %}" * 40
    + "{{ a == b }}",
    "{% set a = {'k': 1} %}" + "{% set a = {'k': a, 'l': a} %}" * 40 + "{{ a|tojson }}",
    (
        "{% set n = namespace(v=1) %}{% for i in range(5000) %}{% set n.v = [n.v] %}{% endfor %}"
        "{{ n.v }}"
    ),
    "{{ params.many|map('upper')|list|sort }}",
    "{{ [params.long, params.long]|join(',') }}",
    "{{ " + "(" * 40 + "[params.long]" + ")*1" * 40 + "|tojson }}",
    "{{ (range(100000)|list ~ '') * 30 }}",
]


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("template", COSTLY)
def test_a_costly_template_is_refused_soon_and_small(template: str):
    context = {"params": {"long": LONG, "many": [LONG] * 200}}
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for render_it in (
        lambda: render_value(template, context),
        lambda: render(template, context),
    ):
        with pytest.raises(HeadraceError, match=BOUND):
            render_it()
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 300_000


def test_what_people_write_is_rendered_as_ever():
    context = {"params": {"names": ["b", "A", "c"], "rows": [{"n": 2}, {"n": 1}], "day": "x"}}

    assert render_value("{{ params.names|sort|join(',') }}", context) == "A,b,c"
    assert render_value("{{ [1, 2] + [3] }}", context) == [1, 2, 3]
    assert render_value("{{ {'a': (1, 2)} }}", context) == {"a": [1, 2]}
    assert render_value("{{ params.rows|map(attribute='n')|sum }}", context) == 3
    assert render_value("{{ params.rows|sort(attribute='n')|first }}", context) == {"n": 1}
    assert render_value("{{ 7|round(-1) }}", context) == 10
    assert render_value("{% for a, b in [(1, 2)] %}{{ a + b }}{% endfor %}", context) == "3"
    assert render_value("{% set a, b = 1, 2 %}{{ a ~ b }}", context) == "12"
    assert render_value("{{ 'abc'|upper ~ [1]|length }}", context) == "ABC1"
    assert evaluate("[1, 2]|max", context) == 2
