"""Follows the expressions of a template with samples of the values that it will see."""

import inspect
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from jinja2 import Undefined, nodes
from jinja2.exceptions import SecurityError

from runner.suggest import did_you_mean
from runner.template.failures import GUIDE
from runner.template.sandbox import DICT_METHODS, BoundedEnvironment
from runner.template.shapes import (
    ANY,
    BOOLEAN,
    HIDDEN,
    TEXT,
    UNKNOWN,
    Shape,
    joined,
    never_equal,
    of_value,
)
from runner.template.syntax import chain_of

_SYMBOLS = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "eq": "==", "ne": "!="}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
}
# These take what is not there.
_LENIENT_TESTS = ("defined", "undefined", "none")
_LENIENT_FILTERS = ("default", "d")
# Their first argument is the name of a filter, or of a test.
_NAMES_FILTER = ("map",)
_NAMES_TEST = ("select", "reject")


class Expressions:
    """Gives the shape of each expression, and reports what is wrong with it."""

    def __init__(self, environment: BoundedEnvironment, variables: Mapping[str, Shape]) -> None:
        self.environment = environment
        self.variables = dict(variables)
        self.assigned: set[str] = set()
        self.known = [name for name, shape in variables.items() if shape is not HIDDEN]
        self._context = environment.from_string("").new_context({})

    def report(self, node: nodes.Node, code: str, message: str, hint: str, word: str) -> None:
        """Keep one mistake."""
        raise NotImplementedError

    def shape(self, node: nodes.Node, *, lenient: bool = False) -> Shape:
        """Return the shape of an expression; with `lenient` it need not be there."""
        visit: Callable[..., Shape] | None = getattr(self, f"_of_{type(node).__name__}", None)
        if visit is not None:
            return visit(node, lenient) if isinstance(node, _PATHS) else visit(node)
        if type(node).__name__ in _BINARY:
            return self._binary(node)
        for child in node.iter_child_nodes():
            self.shape(child)
        return ANY

    def printed(self, node: nodes.Node, shape: Shape) -> None:
        """Look at what is written out."""
        if self.environment.refuses_null and shape.exact and shape.sample is None:
            message = "a null stands inside a text"
            self.report(node, "bad-template", message, "leave it out, or write a text", "")

    def item_of(self, node: nodes.Node, shape: Shape) -> Shape:
        """Return what a loop over a value goes through."""
        if not shape.known:
            return ANY
        if shape.members is None and not isinstance(shape.sample, Iterable):
            message = f"{_called(node, shape)} is {shape.kind}, over which nothing can loop"
            self.report(node, "wrong-type", message, "loop over a list", "")
            return ANY
        if isinstance(shape.sample, str) or shape.members is not None:
            return TEXT
        return shape.item or ANY

    # -- names and paths -----------------------------------------------------------------

    def _of_Const(self, node: nodes.Const) -> Shape:
        return Shape(node.value, exact=True)

    def _of_TemplateData(self, node: nodes.TemplateData) -> Shape:
        return Shape(node.data, exact=True)

    def _of_Name(self, node: nodes.Name, lenient: bool) -> Shape:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name in self.environment.globals:
            return Shape(self.environment.globals[node.name], exact=True)
        if not lenient:
            known = [*self.known, *map(str, self.environment.globals)]
            hint = did_you_mean(node.name, known, listed_as="there are")
            self.report(node, "unknown-name", f'unknown name "{node.name}"', hint, node.name)
        return ANY

    def _of_Getattr(self, node: nodes.Getattr, lenient: bool) -> Shape:
        return self._member(node, self.shape(node.node, lenient=lenient), node.attr, lenient)

    def _of_Getitem(self, node: nodes.Getitem, lenient: bool) -> Shape:
        holder = self.shape(node.node, lenient=lenient)
        key = self.shape(node.arg)
        if key.exact and isinstance(key.sample, str):
            return self._member(node, holder, key.sample, lenient)
        if isinstance(node.arg, nodes.Slice):
            return Shape(holder.sample, item=holder.item) if holder.known else ANY
        if not holder.known or holder.members is not None or lenient:
            return ANY
        if isinstance(holder.sample, str):
            return TEXT
        if holder.item is None and not isinstance(holder.sample, Mapping | list | tuple):
            message = f"{_called(node.node, holder)} is {holder.kind}, which has no entries"
            self.report(node, "wrong-type", message, GUIDE, "")
        return holder.item or ANY

    def _member(self, node: nodes.Node, holder: Shape, name: str, lenient: bool) -> Shape:
        if holder.members is not None:
            if name in holder.members:
                return holder.members[name]
            if isinstance(node, nodes.Getattr) and name in DICT_METHODS:
                return ANY
            if not lenient and not holder.open:
                self._no_member(node, holder, name, list(holder.members))
            return ANY
        sample = holder.sample
        if sample is UNKNOWN or isinstance(sample, Mapping):
            return ANY
        if not self.environment.is_safe_attribute(sample, name, None):
            message = f'"{name}" cannot be used in a template: it begins with "_"'
            self.report(node, "unsafe-template", message, GUIDE, name)
            return ANY
        if isinstance(node, nodes.Getattr) and hasattr(sample, name):
            value = getattr(sample, name)
            return Shape(value, exact=holder.exact or callable(value))
        if not lenient:
            known = [one for one in dir(sample) if not one.startswith("_")]
            self._no_member(node, holder, name, known if holder.kind else [])
        return ANY

    def _no_member(self, node: nodes.Node, holder: Shape, name: str, known: list[str]) -> None:
        told = _called(node.node, holder) if isinstance(node, _HOLDERS) else "it"
        if holder.members is None and holder.kind:
            told += f" is {holder.kind} and"
        hyphened = next((one for one in known if one.startswith(f"{name}-")), None)
        hint = did_you_mean(name, known, listed_as="there are") if len(known) <= 40 else ""
        if holder.members is None and "did you mean" not in hint:
            hint = GUIDE
        if hyphened is not None:
            hint = f"a name with a hyphen is written {holder.name or 'NAME'}['{hyphened}']"
        self.report(node, "unknown-name", f'{told} has no "{name}"', hint, name)

    # -- what is called ------------------------------------------------------------------

    def _of_Call(self, node: nodes.Call) -> Shape:
        target = node.node
        if isinstance(target, nodes.Getattr):
            holder = self.shape(target.node)
            own = holder.members is not None and target.attr not in holder.members
            if own and target.attr in DICT_METHODS:
                self._arguments(node)
                return ANY
            called = self._member(target, holder, target.attr, False)
        else:
            called = self.shape(target)
        args, kwargs, known = self._arguments(node)
        if not called.known:
            return ANY
        name = target.attr if isinstance(target, nodes.Getattr) else getattr(target, "name", "it")
        if not callable(called.sample) or not self.environment.is_safe_callable(called.sample):
            message = f'"{name}" cannot be called in a template'
            self.report(node, "unsafe-template", message, GUIDE, name)
            return ANY
        return self._applied(node, name, called.sample, args, kwargs, known, exact=False)

    def _of_Filter(self, node: nodes.Filter) -> Shape:
        lenient = node.name in _LENIENT_FILTERS
        given = self.shape(node.node, lenient=lenient) if node.node is not None else ANY
        args, kwargs, known = self._arguments(node)
        if not self._exists(node, "filter", node.name, self.environment.filters):
            return ANY
        if node.name in (*_NAMES_FILTER, *_NAMES_TEST) and args and isinstance(args[0].sample, str):
            kind, table = "filter", self.environment.filters
            if node.name in _NAMES_TEST:
                kind, table = "test", self.environment.tests
            self._exists(node, kind, args[0].sample, table)
            return Shape([], item=ANY)
        if lenient:
            return joined([given, *args[:1]]) if args else ANY
        if given.members is not None or not given.known:
            self._binds(node, self.environment.filters[node.name], given, args, kwargs)
            return ANY

        def call(*values: Any, **named: Any) -> Any:
            return self.environment.call_filter(
                node.name, values[0], values[1:], named, context=self._context
            )

        exact = given.exact
        return self._applied(node, node.name, call, [given, *args], kwargs, known, exact=exact)

    def _of_Test(self, node: nodes.Test) -> Shape:
        lenient = node.name in _LENIENT_TESTS
        given = self.shape(node.node, lenient=lenient)
        args, kwargs, known = self._arguments(node)
        if not self._exists(node, "test", node.name, self.environment.tests) or lenient:
            return BOOLEAN

        def call(*values: Any, **named: Any) -> Any:
            return self.environment.call_test(
                node.name, values[0], values[1:], named, context=self._context
            )

        if given.known and given.members is None:
            self._applied(node, node.name, call, [given, *args], kwargs, known, exact=given.exact)
        return BOOLEAN

    def _exists(self, node: nodes.Node, kind: str, name: str, table: Mapping[str, object]) -> bool:
        if name in table and " " not in name:
            return True
        known = [one for one in table if " " not in one]
        hint = did_you_mean(name, known) if kind == "filter" or known else ""
        hint = hint if "did you mean" in hint else GUIDE
        self.report(node, f"unknown-{kind}", f'unknown {kind} "{name}"', hint, name)
        return False

    def _arguments(
        self, node: nodes.Call | nodes.Filter | nodes.Test
    ) -> tuple[list[Shape], dict[str, Shape], bool]:
        """Return the arguments, and whether they are all that are given."""
        args = [self.shape(one) for one in node.args]
        kwargs = {str(one.key): self.shape(one.value) for one in node.kwargs}
        more = [one for one in (node.dyn_args, node.dyn_kwargs) if one is not None]
        for one in more:
            self.shape(one)
        return args, kwargs, not more

    def _binds(
        self,
        node: nodes.Filter,
        function: Callable[..., Any],
        given: Shape,
        args: list[Shape],
        kwargs: Mapping[str, Shape],
    ) -> None:
        """Report arguments that a filter does not take, whatever it is given."""
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return
        before = 1 if getattr(function, "jinja_pass_arg", None) is not None else 0
        values: list[Any] = [None] * before + [given.sample] + [one.sample for one in args]
        try:
            signature.bind(*values, **{key: one.sample for key, one in kwargs.items()})
        except TypeError as error:
            self._wrong(node, node.name, str(error))

    def _applied(
        self,
        node: nodes.Node,
        name: str,
        function: Callable[..., Any],
        args: list[Shape],
        kwargs: Mapping[str, Shape],
        known: bool,
        *,
        exact: bool,
    ) -> Shape:
        """Return what a function makes of its arguments."""
        shapes = [*args, *kwargs.values()]
        if not known or any(not one.known or one.members is not None for one in shapes):
            return ANY
        all_exact = all(one.exact for one in shapes)
        try:
            made = function(
                *(one.sample for one in args), **{key: one.sample for key, one in kwargs.items()}
            )
            made = list(made) if hasattr(made, "__next__") else made
        except (TypeError, AttributeError) as error:
            self._wrong(node, name, str(error))
            return ANY
        except Exception as error:  # noqa: BLE001 - any value of the sample's type may raise
            if all_exact:
                self._wrong(node, name, str(error))
            return ANY
        if isinstance(made, Undefined):
            return ANY  # Of an empty list: the sample says nothing.
        exact = exact and all_exact
        return of_value(made) if exact else _like(made)

    def _wrong(self, node: nodes.Node, name: str, cause: str) -> None:
        message = f'"{name}" cannot be used so: {cause}'
        self.report(node, "wrong-type", message, GUIDE, name)

    # -- operators -----------------------------------------------------------------------

    def _binary(self, node: Any) -> Shape:
        if self._is_hyphened(node):
            return ANY
        left, right = self.shape(node.left), self.shape(node.right)
        if not (left.known and right.known) or left.members or right.members:
            return ANY
        symbol = node.operator
        try:
            if symbol in self.environment.intercepted_binops:
                made = self.environment.call_binop(self._context, symbol, left.sample, right.sample)
            else:
                made = _BINARY[type(node).__name__](left.sample, right.sample)
        except SecurityError as error:
            self.report(node, "unsafe-template", str(error), GUIDE, symbol)
            return ANY
        except TypeError:
            kinds = f"{left.kind or 'this'} and {right.kind or 'that'}"
            said = f"{_said(node.left)} {symbol} {_said(node.right)}"
            message = f"{symbol} does not go with {kinds}: {said}"
            self.report(node, "wrong-type", message, _remedy(left, right), symbol)
            return ANY
        except Exception as error:  # noqa: BLE001 - it depends on the values
            if left.exact and right.exact:
                self._wrong(node, symbol, str(error))
            return ANY
        return of_value(made) if left.exact and right.exact else _like(made)

    def _is_hyphened(self, node: Any) -> bool:
        """Report `steps.load-orders`, which is no difference but a name with a hyphen."""
        chain = chain_of(node.right)
        if node.operator != "-" or not isinstance(node.left, nodes.Getattr) or not chain:
            return False
        if chain[0] in self.variables:
            return False
        holder = self.shape(node.left.node)
        written = f"{node.left.attr}-{chain[0]}"
        name = next((one for one in holder.members or () if one.startswith(written)), None)
        if name is None:
            return False
        hint = f"a name with a hyphen is written {holder.name}['{name}']"
        message = f'"{written}" is read as a difference'
        self.report(node, "unknown-name", message, hint, written)
        return True

    def _of_Concat(self, node: nodes.Concat) -> Shape:
        shapes = [self.shape(one) for one in node.nodes]
        if all(one.exact and isinstance(one.sample, str) for one in shapes):
            return Shape("".join(one.sample for one in shapes), exact=True)
        return TEXT

    def _of_Not(self, node: nodes.Not) -> Shape:
        self.shape(node.node)
        return BOOLEAN

    def _of_And(self, node: nodes.And) -> Shape:
        return joined([self.shape(node.left), self.shape(node.right)])

    _of_Or = _of_And

    def _of_CondExpr(self, node: nodes.CondExpr) -> Shape:
        self.shape(node.test)
        branches = [self.shape(one) for one in (node.expr1, node.expr2) if one is not None]
        return joined(branches) if node.expr2 is not None else ANY

    def _of_Compare(self, node: nodes.Compare) -> Shape:
        left_node, left = node.expr, self.shape(node.expr)
        for operand in node.ops:
            right = self.shape(operand.expr)
            self._compared(operand, (left_node, left), (operand.expr, right))
            left_node, left = operand.expr, right
        return BOOLEAN

    def _compared(
        self, operand: nodes.Operand, one: tuple[nodes.Node, Shape], other: tuple[nodes.Node, Shape]
    ) -> None:
        (left_node, left), (right_node, right) = one, other
        if operand.op in ("in", "notin"):
            self._looked_up(operand, one, other)
            return
        said = f"{_said(left_node)} {_SYMBOLS[operand.op]} {_said(right_node)}"
        if operand.op in ("eq", "ne"):
            self._equal(operand, left, right, said)
            return
        if not (left.known and right.known) or left.members or right.members:
            return
        if isinstance(left.sample, datetime) and isinstance(right.sample, datetime):
            return
        try:
            _COMPARE[operand.op](left.sample, right.sample)
        except TypeError:
            kinds = f"{left.kind} with {right.kind}"
            message = f"{said} compares {kinds}, which have no order"
            self.report(operand, "bad-comparison", message, _remedy(left, right), "")

    def _equal(self, operand: nodes.Operand, left: Shape, right: Shape, said: str) -> None:
        if never_equal(left, right):
            message = f"{said} compares {left.kind} with {right.kind}, which are never equal"
            self.report(operand, "bad-comparison", message, _remedy(left, right), "")
            return
        for words, word in ((left.words, right), (right.words, left)):
            if words and word.exact and isinstance(word.sample, str) and word.sample not in words:
                message = f'{said} never holds: there is no "{word.sample}"'
                hint = did_you_mean(word.sample, words, listed_as="it is one of")
                if "did you mean" in hint and len(words) <= 9:
                    hint += f" It is one of: {', '.join(words)}"
                self.report(operand, "bad-comparison", message, hint, word.sample)

    def _looked_up(
        self, operand: nodes.Operand, one: tuple[nodes.Node, Shape], other: tuple[nodes.Node, Shape]
    ) -> None:
        (left_node, left), (right_node, right) = one, other
        said = f"{_said(left_node)} in {_said(right_node)}"
        if isinstance(right_node, nodes.List | nodes.Tuple):
            for item in right_node.items:
                self._equal(operand, left, self.shape(item), said)
        elif left.known and right.known and right.members is None:
            try:
                operator.contains(right.sample, left.sample)
            except TypeError:
                message = f"{said} looks for {left.kind or 'it'} in {right.kind or 'that'}"
                self.report(operand, "bad-comparison", message, _remedy(left, right), "")

    # -- collections -----------------------------------------------------------------------

    def _of_List(self, node: nodes.List | nodes.Tuple) -> Shape:
        items = [self.shape(one) for one in node.items]
        exact = all(one.exact and one.members is None for one in items)
        return Shape([one.sample for one in items] if exact else [], exact, item=joined(items))

    _of_Tuple = _of_List

    def _of_Dict(self, node: nodes.Dict) -> Shape:
        members: dict[str, Shape] = {}
        for pair in node.items:
            key, value = self.shape(pair.key), self.shape(pair.value)
            if not key.exact or not isinstance(key.sample, str):
                return ANY
            members[key.sample] = value
        return Shape({}, members=members)


_HOLDERS = (nodes.Getattr, nodes.Getitem)
_PATHS = (nodes.Name, *_HOLDERS)


def _like(made: Any) -> Shape:
    """Return the shape of what a sample has become: its type, not its value."""
    if isinstance(made, list | tuple | range):
        return Shape([], item=joined(_like(one) for one in list(made)[:1]) if made else ANY)
    if isinstance(made, Mapping):
        return Shape({})
    return Shape(made)


def _called(node: nodes.Node, shape: Shape) -> str:
    return shape.name or _said(node)


def _said(node: nodes.Node) -> str:
    """Return an expression about as it is written."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Const):
        return repr(node.value)
    if isinstance(node, nodes.Getattr):
        return f"{_said(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{_said(node.node)}[{_said(node.arg)}]"
    if isinstance(node, nodes.Filter) and node.node is not None:
        return f"{_said(node.node)} | {node.name}"
    if isinstance(node, nodes.Call):
        return f"{_said(node.node)}(…)"
    return "…"


def _remedy(left: Shape, right: Shape) -> str:
    kinds = {left.kind, right.kind}
    if kinds in ({"a date", "a text"}, {"a time", "a text"}):
        return "make the text a date: … | date, or … | datetime"
    if kinds == {"a date", "a time"}:
        return "take the time's day: … | date"
    if kinds == {"a number", "a text"}:
        return "make the text a number: … | int, or … | float; a number stands without quotes"
    return GUIDE
