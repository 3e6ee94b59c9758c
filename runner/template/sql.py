"""Jinja for SQL: every `{{ value }}` becomes a bound parameter.

A template's own text is SQL, and so is a RenderedSql that the code hands over; what an
expression yields is data and never becomes SQL. The only ways for a value into the text are the
filters below, which quote names, write out `asc`/`desc`, or spread a list over several
parameters.
"""

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar
from uuid import UUID

from jinja2 import Template, Undefined, nodes
from jinja2.exceptions import TemplateAssertionError
from jinja2.runtime import Context
from jinja2.utils import pass_context

from headrace.errors import RefusedSql, TemplateError
from headrace.model import exact_json
from headrace.template import budget
from headrace.template.failures import told_with_place
from headrace.template.identifiers import (
    column_type,
    quote_identifier,
    quote_identifiers,
    quote_name,
    quote_names,
)
from headrace.template.measure import characters
from headrace.template.rendered import RenderedSql, marker, refuse_misplaced_binds, with_binds_apart
from headrace.template.sandbox import BoundedEnvironment, Rewriter, filtered
from headrace.template.syntax import is_plain

_BIND = "bind value"  # With a space, so that no template can name them.
_MACRO_OUTPUT = "macro output"
_SCALARS = (bool, int, float, Decimal, bytes, datetime, date, time, timedelta, UUID)
_SOURCE_LIMIT = budget.MAX_CHARACTERS


class _Sql:
    """Text that a filter has made safe. Joining it to a text would lose that: refused."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        raise RefusedSql(
            f"{self.text} is already SQL and cannot be part of a text: "
            "put the name together first, ('a_' ~ b) | identifier"
        )


def render(source: str, variables: Mapping[str, Any], *, name: str = "sql") -> RenderedSql:
    """Render an SQL template. `name` is what errors call it, a file's path for example.

    Raises:
        TemplateError: the template is malformed, names something undefined, or is too costly.
        RefusedSql: a name is no identifier, or a value stands where none can be bound.
    """
    with budget.rendering(variables) as spent, told_with_place(name, braces=True):
        if "\x00" in source or len(source) > _SOURCE_LIMIT:
            raise TemplateError("the template contains NUL characters, or is over 1 MB")
        chunks: list[str] = []
        # Most SQL has no braces: compiling it takes longer than all else.
        written = (source,) if is_plain(source) else _generated(source, name, variables)
        for chunk in written:
            spent.spend_characters(len(chunk))
            chunks.append(chunk)
        marked = "".join(chunks)
        refuse_misplaced_binds(marked)
        return RenderedSql(with_binds_apart(marked), spent.binds)


class _SqlRewriter(Rewriter):
    def visit_Output(self, node: nodes.Output) -> nodes.Node:
        node.nodes = [self._output(child) for child in node.nodes]
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        if self._is_macro_call(node):
            raise TemplateAssertionError(
                "a macro's result is SQL: it can only be written as {{ name(…) }}", node.lineno
            )
        return self.generic_visit(node)

    def _output(self, child: nodes.Expr) -> nodes.Expr:
        if isinstance(child, nodes.TemplateData):
            return child
        if self._is_macro_call(child):
            # What a macro writes out is already bound, piece by piece.
            return filtered(_MACRO_OUTPUT, self.generic_visit(child))  # type: ignore[arg-type]
        return filtered(_BIND, self.visit(child))

    def _is_macro_call(self, node: nodes.Node) -> bool:
        return (
            isinstance(node, nodes.Call)
            and isinstance(node.node, nodes.Name)
            and node.node.name in self.macros
        )


@pass_context
def _bind(context: Context, value: Any) -> str:
    if isinstance(value, _Sql):
        return value.text
    if isinstance(value, RenderedSql):
        return value.rebound(budget.current().bind)
    return _bound(value)


def _bound(value: Any) -> str:
    characters(value)  # Before anything is made of it.
    ready = bindable(value)
    return marker(budget.current().bind(ready, characters(ready)))


@pass_context
def _macro_output(context: Context, text: str) -> str:
    budget.current().spend_iteration()
    return text


@pass_context
def _identifier(context: Context, name: Any) -> _Sql:
    return _Sql(quote_identifier(_defined(name)))


@pass_context
def _identifiers(context: Context, names: Any) -> _Sql:
    return _Sql(quote_identifiers(_defined(names)))


@pass_context
def _name(context: Context, name: Any) -> _Sql:
    return _Sql(quote_name(_defined(name)))


@pass_context
def _names(context: Context, names: Any) -> _Sql:
    return _Sql(quote_names(_defined(names)))


@pass_context
def _column_type(context: Context, name: Any) -> _Sql:
    return _Sql(column_type(_defined(name)))


@pass_context
def _inlist(context: Context, values: Any) -> _Sql:
    if isinstance(values, str | Mapping) or not isinstance(_defined(values), Iterable):
        raise RefusedSql(f"inlist needs a list, not {values!r}")
    names = [_bound(value) for value in values]
    if not names:
        raise RefusedSql("inlist of an empty list: write = ANY({{ … }}), which accepts it")
    return _Sql(f"({', '.join(names)})")


@pass_context
def _order(context: Context, direction: Any) -> _Sql:
    word = direction.lower() if isinstance(direction, str) else direction
    if word not in ("asc", "desc"):
        raise RefusedSql(f"{direction!r} is not a sort order: write asc or desc")
    return _Sql(word.upper())


def _defined(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # Raises, naming what is undefined.
    return value


def bindable(value: Any) -> Any:
    """Return a value as the driver takes it: mappings as JSON text, lists as arrays.

    Raises:
        TemplateError: it is of a kind that PostgreSQL has no value for.
    """
    value = _defined(value)
    if value is None:
        return None
    if isinstance(value, str):
        if "\x00" in value:
            raise TemplateError("a text contains a NUL character, which PostgreSQL cannot store")
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, _SCALARS):
        return value
    if isinstance(value, Mapping):
        return exact_json.dumps(value, default=str)
    if isinstance(value, Iterable):
        return _bindable_list(list(value))
    raise TemplateError(f"a {type(value).__name__} cannot be bound as a value: {value!r:.80}")


def _bindable_list(items: list[Any]) -> Any:
    budget.check_length(len(items))
    if any(isinstance(item, Mapping) for item in items):
        return exact_json.dumps(items, default=str)
    return [bindable(item) for item in items]


class _SqlEnvironment(BoundedEnvironment):
    rewriter = _SqlRewriter
    makes: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        "identifier identifiers name names column_type inlist order".split(), _Sql("it")
    )

    def __init__(self) -> None:
        super().__init__()
        self.filters |= {
            _BIND: _bind,
            _MACRO_OUTPUT: _macro_output,
            "identifier": _identifier,
            "identifiers": _identifiers,
            "name": _name,
            "names": _names,
            "column_type": _column_type,
            "inlist": _inlist,
            "order": _order,
        }


environment = _SqlEnvironment()


def _generated(source: str, name: str, variables: Mapping[str, Any]) -> Iterable[str]:
    return _compiled(source, name).generate(dict(variables))


@lru_cache(maxsize=256)
def _compiled(source: str, name: str) -> Template:
    code = environment.compile(source, name, name)
    return Template.from_code(environment, code, environment.globals)
