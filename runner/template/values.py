"""Jinja in a pipeline's `with:` values: `path: "data/orders-{{ params.day }}.csv"`."""

from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

from jinja2 import Template, Undefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.runtime import Context
from jinja2.utils import pass_context

from headrace.errors import TemplateError
from headrace.model.storable import joined
from headrace.template import budget
from headrace.template.braces import has_template
from headrace.template.failures import told_with_place
from headrace.template.measure import text_of
from headrace.template.sandbox import BoundedEnvironment, Rewriter, filtered
from headrace.template.syntax import single_expression

_TEXT = "text value"  # With a space, so that no template can name it.


def render_value(value: Any, context: Mapping[str, Any], *, name: str = "value") -> Any:
    """Return `value` with the templates in its texts evaluated, lists and mappings included.

    A text that is one single `{{ expression }}` becomes what the expression yields, with its
    type (dates in ISO 8601); any other text stays a text. `name` is what errors call it.

    Raises:
        TemplateError: a template is malformed, names something undefined, or is too costly.
    """
    with budget.rendering(context) as spent:
        return _rendered(value, context, name, spent)


def evaluate(expression: str, context: Mapping[str, Any], *, name: str = "expression") -> Any:
    """Return what a bare expression, or one within `{{ }}`, yields; dates stay dates.

    Raises:
        TemplateError: see `render_value`.
    """
    with budget.rendering(context), told_with_place(name):
        expression = expression.strip()
        inner = single_expression(expression)
        return _value(_compiled_expression(expression if inner is None else inner), context)


def _rendered(value: Any, context: Mapping[str, Any], name: str, spent: budget.Budget) -> Any:
    if isinstance(value, str):
        if not has_template(value):
            return value
        with told_with_place(name):
            return _rendered_text(value, context, name, spent)
    if isinstance(value, Mapping):
        return {
            key: _rendered(item, context, f"{name}.{key}", spent) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _rendered(item, context, f"{name}[{index}]", spent) for index, item in enumerate(value)
        ]
    return value


def _rendered_text(text: str, context: Mapping[str, Any], name: str, spent: budget.Budget) -> Any:
    inner = single_expression(text)
    if inner is not None:
        return _plain(_value(_compiled_expression(inner), context))
    chunks: list[str] = []
    for chunk in _compiled(text, name).generate(dict(context)):
        spent.spend_characters(len(chunk))
        chunks.append(chunk)
    return _storable("".join(chunks))


def _value(expression: TemplateExpression, context: Mapping[str, Any]) -> Any:
    value = expression(dict(context))
    if isinstance(value, Undefined):
        str(value)  # Raises, naming what is undefined.
    return value


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, str):
        return _storable(value)
    if value is None or isinstance(value, bool | int | float | Decimal):
        return value
    if isinstance(value, date | time):
        return text_of(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {_storable(str(key)): _plain(item) for key, item in value.items()}
    if hasattr(value, "__iter__"):
        items = list(value)
        budget.check_length(len(items))
        return [_plain(item) for item in items]
    raise TemplateError(f"a {type(value).__name__} cannot be passed to a job: {value!r:.80}")


def _storable(text: str) -> str:
    """Return a text that a row can hold, of two halves of a surrogate pair their character.

    What cannot be stored is refused here, at its place: a statement that inserts the runs of
    several pipelines would fail with all of them.
    """
    whole = joined(text)
    if whole is None:
        raise TemplateError(
            "a text has a character that cannot be stored: NUL or half a surrogate pair"
        )
    return whole


class _ValueRewriter(Rewriter):
    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        node.nodes = [
            child if isinstance(child, nodes.TemplateData) else filtered(_TEXT, self.visit(child))
            for child in node.nodes
        ]
        return node


@pass_context
def _text(context: Context, value: Any) -> str:
    if value is None:
        raise TemplateError("a null is inside a text: give it a default, | default('', true)")
    return text_of(value)


class _ValueEnvironment(BoundedEnvironment):
    rewriter = _ValueRewriter
    refuses_null = True

    def __init__(self) -> None:
        super().__init__()
        self.filters[_TEXT] = _text


environment = _ValueEnvironment()


@lru_cache(maxsize=1024)
def _compiled(source: str, name: str) -> Template:
    code = environment.compile(source, name, name)
    return Template.from_code(environment, code, environment.globals)


@lru_cache(maxsize=1024)
def _compiled_expression(source: str) -> TemplateExpression:
    return environment.compile_expression(source, undefined_to_none=False)
