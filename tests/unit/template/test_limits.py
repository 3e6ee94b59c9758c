"""No template takes more time or space than a bound allows, on whatever path."""

from datetime import date
from resource import RUSAGE_SELF, getrusage

import pytest

from headrace.errors import HeadraceError
from headrace.template import evaluate, render, render_value
from tests.support.template_bounds import BOUND

DOUBLED = "{% set a = [0] %}" + "{% set a = [a, a] %}" * 60
TWICE = DOUBLED + "{% set b = [0] %}" + "{% set b = [b, b] %}" * 60

COSTLY = {
    "round": "{{ 1 | round(30000000, 'ceil') }}",
    "round_negative": "{{ 1 | round(-30000000) }}",
    "text_times": "{{ 'x' * 10**9 }}",
    "list_times": "{{ [0] * 10**9 }}",
    "list_of_long_texts": "{{ ['x' * 900000] * 1400 }}",
    "list_of_long_texts_written": "{{ (['x' * 900000] * 1400) ~ '' }}",
    "list_of_long_texts_joined": "{{ (['x' * 900000] * 1400) | join }}",
    "list_of_long_texts_json": "{{ (['x' * 900000] * 1400) | tojson }}",
    "list_literal_of_long_texts": "{% set t = 'x' * 900000 %}{{ [" + "t, " * 1400 + "] }}",
    "mapping_of_long_texts": "{% set t = 'x' * 900000 %}{{ {'a': [t, t], 'b': [t, t]} }}",
    "dict_of_long_texts": "{% set t = 'x' * 900000 %}{{ dict(a=[t], b=[t], c=[t]) }}",
    "levels": "{{ [[[0] * 1000] * 1000] * 1000 }}",
    "levels_written": "{{ ([[[0] * 1000] * 1000] * 1000) ~ '' }}",
    "doubled": DOUBLED + "{{ a ~ '' }}",
    "doubled_bound": DOUBLED + "{{ a }}",
    "doubled_compared": TWICE + "{{ a == b }}",
    "doubled_in": TWICE + "{{ a in [b] }}",
    "doubled_json": DOUBLED + "{{ a | tojson }}",
    "namespace": "{% set n = namespace(a=0) %}{% set m = namespace(a=[n, n]) %}{{ [m, m] ~ '' }}",
    "power": "{{ 10 ** 10 ** 10 }}",
    "power_of_power": "{{ 999999 ** 64 ** 64 }}",
    "squares": "{% set x = 10**200 %}{{ x * x * x * x }}",
    "range": "{{ range(10**10) | list }}",
    "range_sum": "{{ range(100000) | sum + range(10**12) | sum }}",
    "replace": "{{ ('x' * 10000) | replace('x', 'y' * 10000) }}",
    "replace_nothing": "{{ ('x' * 900000) | replace('', 'yyyy') }}",
    "join": "{{ (['a'] * 1000) | join('x' * 100000) }}",
    "percent": "{{ '%1000000000d' % 1 }}",
    "center": "{{ 'x'.center(10**9) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "format": "{{ '{:>1000000000}'.format(1) }}",
    "format_filter": "{{ '%1000000000d' | format(1) }}",
    "center_filter": "{{ 'x' | center(1000000000) }}",
    "indent": "{{ 'x' | indent(1000000000) }}",
    "wordwrap": "{{ ('x ' * 400000) | wordwrap(1) }}",
    "batch": "{{ [1] | batch(1000000000, 0) | list }}",
    "slice": "{{ [1] | slice(1000000000) | list }}",
    "expandtabs": "{{ '\t'.expandtabs(10**9) }}",
    "translate": "{{ ('x' * 9000).translate({120: 'y' * 10**5}) }}",
    "nested_loops": "{% for a in range(1000) %}{% for b in range(1000) %}{{ b }},"
    "{% endfor %}{% endfor %}",
    "many_calls": "{% for a in range(90000) %}{% set x = t.count('y') %}{% endfor %}",
    "many_filters": "{% for a in range(90000) %}{% set x = t | upper | length %}{% endfor %}",
    "chained_filters": "{{ range(100000)" + " | map('upper') | list" * 2000 + " }}",
    "chained_selects": "{{ range(100000)" + " | select" * 2000 + " | list | length }}",
    "sorted_again": "{% for a in range(10000) %}{% set x = big | sort | unique | list %}"
    "{% endfor %}",
    "joined_again": "{% for a in range(100) %}{% set x = big | join %}{% endfor %}",
    "concatenated_again": "{% for a in range(60000) %}{% set x = '' ~ '' %}{% endfor %}",
    "exponential_macros": "".join(
        f"{{% macro m{n}() %}}{{{{ m{n + 1}() }}}}{{{{ m{n + 1}() }}}}{{% endmacro %}}"
        for n in range(40)
    )
    + "{% macro m40() %}{% endmacro %}{{ m0() }}",
    "endless_macros": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "recursive_loop": "{% for a in [[1]] recursive %}{{ loop(a) }}{% endfor %}",
    "long_template": "{{ t }} + " * 100_000,
    "long_expression": "{{ " + "1 + " * 100_000 + "1 }}",
    "long_concatenation": "{{ " + "t ~ " * 5_000 + "t }}",
    "long_list": "{{ [" + "1, " * 100_000 + "] }}",
    "deep": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "deep_blocks": "{% if t %}" * 5000 + "{% endif %}" * 5000,
    "digits": "{{ " + "9" * 500_000 + " }}",
    "bound_again": "{% for a in range(90000) %}, {{ t }}{% endfor %}",
}  # fmt: skip


_WAYS = {
    "sql": render,
    "value": render_value,
    "text": lambda source, given: render_value(f"- {source}", given),
}


# Seconds each: they are tried as a value, and but for the last one in SQL.
_LONG = ("exponential_macros", "long_expression", "long_list", "long_template", "sorted_again")
_LEFT_OUT = {("sql", "sorted_again"), *(("text", name) for name in _LONG)}
_TRIED = [(way, name) for way in _WAYS for name in COSTLY if (way, name) not in _LEFT_OUT]


@pytest.fixture
def given():
    return {"t": "x" * 2000, "d": date(2026, 1, 1), "big": [str(n) for n in range(2000)]}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(("way", "name"), _TRIED)
def test_what_would_cost_too_much_is_refused_before_it_does(name, way, given):
    source = COSTLY[name]
    before = getrusage(RUSAGE_SELF).ru_maxrss

    with pytest.raises(HeadraceError, match=BOUND):
        _WAYS[way](source, given)

    # Without bounds it is gigabytes, and minutes: those end at the test's timeout.
    assert getrusage(RUSAGE_SELF).ru_maxrss - before < 500_000


@pytest.mark.parametrize("name", ["round", "list_of_long_texts", "levels", "long_concatenation"])
def test_a_condition_has_the_same_bounds(name, given):
    inner = COSTLY[name].removeprefix("{{").removesuffix("}}")

    with pytest.raises(HeadraceError, match=BOUND):
        evaluate(f"({inner}) ~ ''", {**given, "t": "x" * 100_000})


def test_what_people_write_is_within_the_bounds():
    rows = [{"id": n, "name": f"name {n}", "tags": ["a", "b"]} for n in range(10_000)]
    given = {"rows": rows, "n": 2}

    assert len(evaluate("rows | map(attribute='id') | list", given)) == 10_000
    assert evaluate("rows | selectattr('id', 'lt', 5) | map(attribute='name') | join(', ')", given)
    assert evaluate("rows == []", given) is False
    assert evaluate("(1.2345 | round(2), 1250 | round(-2))", given) == (1.23, 1200)
    assert evaluate("{'a': [n, n + 1]}", given) == {"a": [2, 3]}
    assert len(render("{{ rows }}", given).binds["p1"]) > 10_000
    loop = "{% for r in rows %}{% if not loop.first %}, {% endif %}"
    loop += "({{ r.id }}, {{ r.name }}){% endfor %}"
    assert len(render(f"INSERT INTO t VALUES {loop}", given).binds) == 20_000
