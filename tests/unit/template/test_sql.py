from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import HeadraceError, RefusedSql, TemplateError
from headrace.template import render
from tests.support.generated import budget
from tests.support.template_bounds import BOUND


def test_a_value_becomes_a_bound_parameter_and_never_text():
    sql = render("SELECT * FROM t WHERE name = {{ name }}", {"name": "x'; DROP TABLE t; --"})

    assert sql.display == "SELECT * FROM t WHERE name = :p1"
    assert sql.binds == {"p1": "x'; DROP TABLE t; --"}


@budget(100)
@given(st.text(alphabet=st.characters(exclude_characters="\x00")))
def test_no_text_whatever_reaches_the_sql(text):
    sql = render("SELECT {{ a }}, {{ a ~ a }}, {{ [a] }}", {"a": text})

    assert sql.display == "SELECT :p1, :p2, :p3"
    assert sql.binds == {"p1": text, "p2": text + text, "p3": [text]}


def test_colons_and_percent_signs_of_the_sql_are_left_alone():
    source = "SELECT x::int, '12:30:45', j->>'a:b', {{ v }}::text FROM t WHERE n LIKE 'a%'"
    sql = render(source, {"v": 1})

    assert sql.display == source.replace("{{ v }}", "(:p1)")
    assert sql.pyformat == source.replace("%", "%%").replace("{{ v }}", "(%(p1)s)")
    assert sql.text == source.replace(":", "\\:").replace("{{ v }}", "(:p1)")


@pytest.mark.parametrize(
    ("source", "display"),
    [
        ("{{ v }}::int", "(:p1)::int"),
        ("{{ v }} /* x */ :: int", "(:p1) /* x */ :: int"),
        ("{{ v }}[1]", "(:p1)[1]"),
        ("{{ v }} COLLATE x", "(:p1) COLLATE x"),
        ("{{ v }} at time zone x", "(:p1) at time zone x"),
        ("date {{ v }}::text", "date :p1::text"),
        ("a[{{ v }}:{{ v }}]", "a[:p1::p2]"),
        ("{{ v }} + {{ v }}::int, {{ v }}", ":p1 + (:p2)::int, :p3"),
        ("LIMIT {{ v }}", "LIMIT :p1"),
        ("{{ v }}&{{ v }}", ":p1&:p2"),
    ],
)
def test_a_value_stands_apart_from_what_would_take_hold_of_a_part_of_it(source, display):
    assert render(source, {"v": -5}).display == display


@pytest.mark.parametrize(
    "source",
    [
        "1.{{ v }}", "{{ v }}.5", "${{ v }}", "U&{{ v }}", "{{ v }}e1", "E{{ v }}", "{{ v }}x",
        "'a'\n{{ v }}", "{{ v }}\n'a'", "{{ v }} -- x\n {{ v }}", "'{{ v }}'", '"{{ v }}"',
        "$$ {{ v }} $$", "-- {{ v }}",
    ],
)  # fmt: skip
def test_a_value_that_would_become_part_of_a_text_or_number_is_refused(source):
    with pytest.raises(RefusedSql, match=r"a value (is directly next to|follows|is inside)"):
        render(f"SELECT {source}", {"v": "5"})


@pytest.mark.parametrize(
    "source",
    [
        "SELECT '{{1,2},{3,4}}'::int[]",
        "SELECT 1 WHERE a LIKE '{%'",
        "SELECT '{#'",
        "SELECT '{{1}}'",
    ],
)
def test_braces_of_the_sqls_own_are_told_how_to_be_written(source):
    with pytest.raises(HeadraceError, match=r"\{% raw %\} and \{% endraw %\}"):
        render(source, {})

    raw = source.replace("'{", "'{% raw %}{").replace("}'", "}{% endraw %}'")
    raw = raw.replace("{%'", "{%{% endraw %}'").replace("{#'", "{#{% endraw %}'")
    assert render(raw, {}).display == source


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("users", '"users"'),
        ("auth.users", '"auth"."users"'),
        ("Mixed_Case", '"Mixed_Case"'),
        ("größe", '"größe"'),
        ("select", '"select"'),
        ("v$x", '"v$x"'),
        ('public."Order-Items"', '"public"."Order-Items"'),
        ('"1st"."a.b"', '"1st"."a.b"'),
        ('s."say ""hi"""', '"s"."say ""hi"""'),
    ],
)
def test_an_identifier_is_quoted_part_by_part(name, quoted):
    assert render("{{ t | identifier }}", {"t": name}).display == quoted


@pytest.mark.parametrize(
    "name",
    [
        "auth.users; DROP TABLE x",
        'a"b',
        "a b",
        "a-b",
        "",
        ".",
        "a.",
        "1a",
        "a.b.c.d",
        "a\x00",
        '"a"b',
        '""',
        'a."b',
        '"a" .b',
        '"x"; DROP TABLE y',
        "x" * 64,
        "ü" * 32,
        7,
        None,
        ["a"],
    ],
)
def test_what_is_no_identifier_is_refused(name):
    with pytest.raises(RefusedSql, match=r"^sql:1: "):
        render("{{ t | identifier }}", {"t": name})


@pytest.mark.parametrize(
    "name", ["Order ID", "a-b", "1st", "select", "a.b", 'a"b', "größe", "x" * 63]
)
def test_a_name_from_a_catalogue_is_quoted_whatever_it_holds(name):
    quoted = '"' + name.replace('"', '""') + '"'

    assert render("{{ c | name }}", {"c": name}).display == quoted
    assert render("{{ c | names }}", {"c": [name, "b"]}).display == f'{quoted}, "b"'


@pytest.mark.parametrize("name", ["", "a\x00", "x" * 64, 7, None])
def test_what_no_catalogue_can_hold_is_no_name(name):
    with pytest.raises(RefusedSql, match=r"is not a name|longer than the 63 bytes"):
        render("{{ c | name }}", {"c": name})


def test_a_refused_identifier_is_named():
    with pytest.raises(RefusedSql, match=r"'auth.users; DROP TABLE x' is not an identifier"):
        render("TRUNCATE {{ t | identifier }}", {"t": "auth.users; DROP TABLE x"})


def test_lists_become_names_parameters_or_an_array():
    sql = render(
        "SELECT {{ c | identifiers }} FROM t WHERE a IN {{ v | inlist }} AND b = ANY({{ v }})",
        {"c": ["x", "s.y"], "v": [1, 2]},
    )

    assert sql.display == 'SELECT "x", "s"."y" FROM t WHERE a IN (:p1, :p2) AND b = ANY(:p3)'
    assert sql.binds == {"p1": 1, "p2": 2, "p3": [1, 2]}


def test_an_empty_inlist_is_refused_with_the_way_out():
    with pytest.raises(RefusedSql, match="= ANY"):
        render("a IN {{ v | inlist }}", {"v": []})


@pytest.mark.parametrize("direction", ["asc", "DESC"])
def test_a_sort_order_is_written_out(direction):
    assert render("{{ d | order }}", {"d": direction}).display == direction.upper()


@pytest.mark.parametrize("direction", ["desc; DROP TABLE x", "", None, 1])
def test_any_other_sort_order_is_refused(direction):
    with pytest.raises(RefusedSql, match="is not a sort order: write asc or desc"):
        render("{{ d | order }}", {"d": direction})


@pytest.mark.parametrize("kind", ["integer", "numeric(12, 2)", "Double Precision", "text[]"])
def test_a_column_type_is_written_out(kind):
    assert render("{{ t | column_type }}", {"t": kind}).display == kind


@pytest.mark.parametrize("kind", ["integer DEFAULT 1", "text)", "no_such", ""])
def test_any_other_column_type_is_refused(kind):
    with pytest.raises(RefusedSql, match="is not a column type: use one such as"):
        render("{{ t | column_type }}", {"t": kind})


def test_mappings_are_bound_as_json_and_dates_as_dates():
    sql = render(
        "SELECT {{ m }}, {{ d - days(1) }}, {{ n }}",
        {"m": {"a": [1]}, "d": date(2024, 3, 1), "n": Decimal("1.10")},
    )

    assert list(sql.binds.values()) == ['{"a": [1]}', date(2024, 2, 29), Decimal("1.10")]


@pytest.mark.parametrize(
    "source",
    [
        "SELECT '{{ v }}'",
        "SELECT 'a' || '%{{ v }}%'",
        'SELECT "{{ v }}"',
        "SELECT $$ {{ v }} $$",
        "SELECT 1 -- {{ v }}",
        "SELECT /* /* {{ v }} */ */ 1",
        "SELECT E'\\'{{ v }}'",
    ],
)
def test_a_value_inside_quotes_or_a_comment_is_refused(source):
    with pytest.raises(RefusedSql, match="inside"):
        render(source, {"v": "' OR 1=1 --"})


@pytest.mark.parametrize("source", ["{{ v }}{{ v }}", "a{{ v }}", "{{ v }}1", "E{{ v }}"])
def test_a_value_that_touches_a_word_is_refused(source):
    with pytest.raises(RefusedSql, match="directly next to"):
        render(source, {"v": "x"})


def test_loops_conditions_and_macros_shape_the_sql():
    source = (
        "{% macro pair(a) %}({{ a }}, {{ a }}){% endmacro %}"
        "{% for v in vs %}{{ pair(v) }}{% if not loop.last %}, {% endif %}{% endfor %}"
    )

    sql = render(source, {"vs": [1, 2]})

    assert sql.display == "(:p1, :p2), (:p3, :p4)"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{% macro m(a) %}x{% endmacro %}{{ m(1) ~ v }}", "a macro's result is SQL"),
        ("{% macro m(a) %}x{% endmacro %}{% set m = v.upper %}{{ m() }}", "already a macro"),
        ("{% macro m(m) %}{{ m() }}{% endmacro %}{{ m(v.upper) }}", "already a macro"),
        ("{{ v | identifier ~ 'x' }}", "already SQL and cannot be part of a text"),
        ("{{ v | safe }}", "No filter named 'safe'"),
    ],
)
def test_no_detour_turns_a_value_into_sql(source, told):
    with pytest.raises(HeadraceError, match=told):
        render(source, {"v": "x"})


@pytest.mark.parametrize(
    "source",
    [
        "{{ 9 ** 9 ** 9 }}",
        "{{ 'a' * 10 ** 9 }}",
        "{{ [0] * 10 ** 9 }}",
        "{{ range(10 ** 9) }}",
        "{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
        (
            "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
            "{% endfor %}"
        ),
        (
            "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}"
            "{% endfor %}"
        ),
        (
            "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}"
            "{% set n.x = n.x | replace('a', 'aa') %}{% endfor %}"
        ),
        "{% for i in range(90000) %}1234567890123{% endfor %}",
        (
            "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
            "{{ m(60) }}"
        ),
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ '%999999999d' % 1 }}",
        "{{ 'x'.ljust(10 ** 9) }}",
        "{{ ([[0] * 10 ** 6] * 10 ** 6) | sum(start=[]) }}",
        "{{ (['ab' * 400000] * 90000) | map('upper') | list | length }}",
        (
            "{% set n = namespace(l=[]) %}{% set s = 'a' * 900000 %}{% for i in range(9000) %}"
            "{% set n.l = n.l + [s.upper()] %}{% endfor %}"
        ),
        "{{ '{:999999999}'.format(1) }}",
    ],
)
def test_a_template_cannot_eat_the_process(source):
    with pytest.raises(TemplateError, match=BOUND):
        render(source, {})


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ v.__init__.__globals__ }}",
        "{{ [''] | map(attribute='__class__') | list }}",
        "{{ range.__self__ }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{{ lipsum }}",
        "{{ cycler }}",
        "{{ v.append(1) }}",
    ],
)
def test_a_template_cannot_leave_the_sandbox(source):
    with pytest.raises(TemplateError, match=r"is unsafe|is undefined|is not available"):
        render(source, {"v": []})


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("SELECT\n{{ dya }}", r"^q\.sql:2: 'dya' is undefined \(did you mean \"day\"\?\)"),
        ("{{ params.refion }}", r"^q\.sql:1: 'refion' is undefined: .*did you mean \"region\"\?"),
        ("\n\n{% if %}", r"^q\.sql:3: "),
        ("{{ 1 / 0 }}", r"^q\.sql:1: ZeroDivisionError"),
        ("{{ day | sfe }}", r"No filter named 'sfe'"),
        ("SELECT {{ range }}", "cannot be bound"),
    ],
)
def test_an_error_tells_template_line_and_cause(source, told):
    with pytest.raises(TemplateError, match=told):
        render(source, {"day": 1, "params": {"region": "eu"}}, name="q.sql")


def test_statements_keep_only_their_own_values():
    first, second = render("SELECT {{ a }}; SELECT {{ b }};", {"a": 1, "b": 2}).statements()

    assert (first.display, first.binds) == ("SELECT :p1", {"p1": 1})
    assert (second.display, second.binds) == ("SELECT :p2", {"p2": 2})


def test_rendered_sql_can_be_part_of_other_sql():
    query = render("SELECT {{ a }}, {{ b }}", {"a": 1, "b": 2})
    whole = render("SELECT {{ c }} FROM ({{ query }}) AS q", {"c": 3, "query": query})

    assert whole.display == "SELECT :p1 FROM (SELECT :p2, :p3) AS q"
    assert whole.binds == {"p1": 3, "p2": 1, "p3": 2}
