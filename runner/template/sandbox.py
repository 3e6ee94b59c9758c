"""The Jinja environment that every template runs in: a small language with bounds.

On top of Jinja's immutable sandbox, only methods and filters that are listed here may be
called, and loops, concatenation and arithmetic are counted, so that no template can eat the
process that renders it. Templates are flat: no include, import or inheritance.
"""

import types
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, ClassVar, cast

from jinja2 import StrictUndefined, nodes
from jinja2.environment import TemplateExpression
from jinja2.exceptions import SecurityError, TemplateAssertionError, TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, missing
from jinja2.visitor import NodeTransformer

from headrace.errors import TemplateError
from headrace.errors.suggestions import did_you_mean
from headrace.template import budget
from headrace.template.dates import DATE_FILTERS, DATE_GLOBALS
from headrace.template.filters import COMPARED, CONCAT, COUNTING, EACH, MADE, bounded_range
from headrace.template.measure import bounded, characters, made
from headrace.template.spans import add, subtract

_FILTERS = frozenset(
    "abs capitalize count d default dictsort first float int items last length list lower map "
    "max min reject rejectattr round select selectattr sort sum title trim unique upper".split()
)
METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        "lower upper title capitalize strip lstrip rstrip startswith endswith split "
        "removeprefix removesuffix isdigit isalpha isalnum find count".split()
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"index", "count"}),
    tuple: frozenset({"index", "count"}),
    datetime: frozenset(
        "isoformat strftime replace weekday isoweekday date time timestamp astimezone".split()
    ),
    date: frozenset("isoformat strftime replace weekday isoweekday".split()),
    time: frozenset("isoformat strftime replace".split()),
    timedelta: frozenset({"total_seconds"}),
}
DICT_METHODS = METHODS[dict]


class HelpfulUndefined(StrictUndefined):
    """An undefined value that guesses what was meant when it is used.

    A path may go on from it, so that `steps.load.result.rows.first | default(0)` has its
    default wherever the path ends.
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def __getitem__(self, _key: Any) -> Any:
        return self

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        name = str(self._undefined_name)
        if self._undefined_obj is missing:
            known: Iterable[str] = budget.current().variables
            told = f"{name!r} is undefined"
        else:
            holder = self._undefined_obj
            known = [str(key) for key in holder] if isinstance(holder, dict) else []
            told = f"{name!r} is undefined: {type(holder).__name__} has no such entry"
        hint = did_you_mean(name, [key for key in known if " " not in key])
        return f"{told} ({hint})" if hint else told


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """A sandbox whose templates end, and end small."""

    intercepted_binops = frozenset({"+", "-", "*", "**", "%"})
    rewriter: ClassVar["type[Rewriter]"]
    # Whether a null cannot be written out: in a text it would be a word.
    refuses_null: ClassVar[bool] = False
    # Filters of its own that give the same kind of value whatever they are given, each with one.
    makes: ClassVar[Mapping[str, Any]] = {}

    def __init__(self) -> None:
        super().__init__(undefined=HelpfulUndefined, autoescape=False, keep_trailing_newline=True)
        self.filters = {name: bounded(self.filters[name]) for name in _FILTERS}
        self.filters |= DATE_FILTERS
        self.filters |= COUNTING
        self.globals = {"range": bounded_range, "namespace": Namespace, "dict": dict}
        self.globals |= DATE_GLOBALS

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        macros = {macro.name for macro in tree.find_all(nodes.Macro)}
        rewritten = self.rewriter(macros).visit(tree)
        assert isinstance(rewritten, nodes.Template)
        return rewritten.set_environment(self)  # type: ignore[return-value]

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        # Compiling takes far longer than reading: what is too much is not compiled.
        stream = super()._tokenize(source, name, filename, state)
        return TokenStream(_counted(stream), name, filename)

    def compile_expression(
        self,
        source: str,
        undefined_to_none: bool = True,
    ) -> TemplateExpression:
        """Compile a bare expression, with the same bounds; Jinja's own does not ask `_parse`."""
        parser = Parser(self, source, state="variable")
        expression = parser.parse_expression()
        if not parser.stream.eos:
            line = parser.stream.current.lineno
            raise TemplateSyntaxError("chunk after expression", line, None, None)
        result = nodes.Assign(nodes.Name("result", "store", lineno=1), expression, lineno=1)
        tree = self.rewriter(set()).visit(nodes.Template([result], lineno=1))
        template = self.from_string(tree.set_environment(self))
        return TemplateExpression(template, undefined_to_none)

    def getattr(self, obj: Any, attribute: str) -> Any:
        # `params.items` is the parameter of that name where there is one, not a method.
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:
        if isinstance(obj, Macro | HelpfulUndefined):
            return True
        if any(obj is known for known in self.globals.values()):
            return True
        if isinstance(obj, types.BuiltinMethodType | types.MethodType):
            owner = obj.__self__
            if isinstance(owner, LoopContext):
                return obj.__name__ in ("cycle", "changed")
            return any(
                isinstance(owner, kind) and obj.__name__ in names for kind, names in METHODS.items()
            )
        return False

    def call(self, context: Context, obj: Any, *args: Any, **kwargs: Any) -> Any:
        spent = budget.current()
        spent.spend_iteration()
        spent.spend_work(sum(budget.size(one) for one in (getattr(obj, "__self__", None), *args)))
        result = super().call(context, obj, *args, **kwargs)
        budget.check_length(budget.size(result))
        return made(result)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "%" and isinstance(left, str | bytes):
            raise SecurityError("formatting with % is not available: join strings with ~")
        if operator in ("+", "*"):
            _check_growth(operator, left, right)
        if operator == "**" and (abs(left) > 10**6 or abs(right) > 64):
            raise TemplateError(f"{left!r} ** {right!r} is too large")
        if operator in ("+", "-") and _is_of_time(left, right):
            return add(left, right) if operator == "+" else subtract(left, right)
        return super().call_binop(context, operator, left, right)


class Rewriter(NodeTransformer):
    """Puts the bounds into a parsed template, and refuses what has no place in one."""

    def __init__(self, macros: set[str]) -> None:
        self.macros = macros

    def visit_For(self, node: nodes.For) -> nodes.Node:
        if node.recursive:
            raise TemplateAssertionError("recursive loops are not available", node.lineno)
        node.iter = filtered(EACH, cast(nodes.Expr, node.iter))
        return self.generic_visit(node)

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        parts = nodes.List(node.nodes, lineno=node.lineno)
        return self.generic_visit(filtered(CONCAT, parts))

    def _visit_collection(self, node: nodes.Expr) -> nodes.Node:
        # A tuple may be a target, `for a, b in`: that one is not made.
        if getattr(node, "ctx", "load") != "load":
            return self.generic_visit(node)
        return filtered(MADE, cast(nodes.Expr, self.generic_visit(node)))

    visit_List = visit_Tuple = visit_Dict = _visit_collection

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        for operand in node.ops:
            operand.expr = _as_compared(operand.expr)
        node.expr = _as_compared(node.expr)
        return node

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.name in self.macros and node.ctx != "load":
            raise TemplateAssertionError(f"{node.name!r} is already a macro", node.lineno)
        return node

    def _refuse(self, node: nodes.Node) -> nodes.Node:
        word = type(node).__name__
        raise TemplateAssertionError(f"{word} is not available in templates", node.lineno)

    visit_Include = visit_Import = visit_FromImport = visit_Extends = visit_Block = _refuse
    visit_CallBlock = visit_FilterBlock = visit_AssignBlock = _refuse


def _as_compared(expression: nodes.Expr) -> nodes.Expr:
    # A constant may be what a compiled template is folded to.
    return expression if isinstance(expression, nodes.Const) else filtered(COMPARED, expression)


def filtered(name: str, expression: nodes.Expr) -> nodes.Filter:
    """Return the node `expression | name`."""
    return nodes.Filter(expression, name, [], [], None, None, lineno=expression.lineno)


def _counted(tokens: Iterable[Token]) -> Iterator[Token]:
    for number, token in enumerate(tokens):
        if number > budget.MAX_TOKENS:
            raise TemplateSyntaxError(
                f"the template is too long: inside and around its braces it has more than"
                f" {budget.MAX_TOKENS:,} words and signs; pass lists as parameters",
                token.lineno,
            )
        yield token


def _check_growth(operator: str, left: Any, right: Any) -> None:
    if operator == "+":
        budget.check_length(budget.size(left) + budget.size(right))
    elif _is_number(left) and _is_number(right):
        if abs(left) > 10**300 or abs(right) > 10**300:
            raise TemplateError("a number is too large")
    elif isinstance(right, int):
        budget.check_length(characters(left) * right)
    elif isinstance(left, int):
        budget.check_length(characters(right) * left)


def _is_of_time(left: Any, right: Any) -> bool:
    return isinstance(left, date | timedelta) or isinstance(right, date | timedelta)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal)
