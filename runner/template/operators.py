"""Follows the operators and comparisons of a template with samples."""

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError

from headrace.errors.suggestions import did_you_mean
from headrace.template.calls import Calls
from headrace.template.failures import GUIDE
from headrace.template.shapes import (
    ANY,
    BOOLEAN,
    TEXT,
    Shape,
    joined,
    like,
    never_equal,
    of_value,
    truth_of,
)
from headrace.template.syntax import chain_of
from headrace.template.wording import remedy, said

_SYMBOLS = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "eq": "==", "ne": "!="}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    **_COMPARE,
    "eq": operator.eq,
    "ne": operator.ne,
    "in": lambda left, right: operator.contains(right, left),
    "notin": lambda left, right: not operator.contains(right, left),
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


class Operators(Calls):
    """Gives the shape of what operators make."""

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
            text = f"{said(node.left)} {symbol} {said(node.right)}"
            message = f"{symbol} cannot be used with {kinds}: {text}"
            self.report(node, "wrong-type", message, remedy(left, right), symbol)
            return ANY
        except Exception as error:  # noqa: BLE001 - it depends on the values
            if left.exact and right.exact:
                self._wrong(node, symbol, str(error))
            return ANY
        return of_value(made) if left.exact and right.exact else like(made)

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
        message = f'"{written}" is read as a subtraction'
        self.report(node, "unknown-name", message, hint, written)
        return True

    def _of_Concat(self, node: nodes.Concat) -> Shape:
        shapes = [self.shape(one) for one in node.nodes]
        if all(one.exact and isinstance(one.sample, str) for one in shapes):
            return Shape("".join(one.sample for one in shapes), exact=True)
        return TEXT

    def _of_Not(self, node: nodes.Not) -> Shape:
        known = truth_of(self.shape(node.node))
        return BOOLEAN if known is None else Shape(not known, exact=True)

    def _of_And(self, node: nodes.And | nodes.Or) -> Shape:
        left = self.shape(node.left)
        known = truth_of(left)
        if known is not None:  # Then one side only is ever looked at.
            return left if known == isinstance(node, nodes.Or) else self.shape(node.right)
        return joined([left, self.shape(node.right)])

    _of_Or = _of_And

    def _of_CondExpr(self, node: nodes.CondExpr) -> Shape:
        known = truth_of(self.shape(node.test))
        if known is not None:
            branch = node.expr1 if known else node.expr2
            return ANY if branch is None else self.shape(branch)
        branches = [self.shape(one) for one in (node.expr1, node.expr2) if one is not None]
        return joined(branches) if node.expr2 is not None else ANY

    def _of_Compare(self, node: nodes.Compare) -> Shape:
        left_node, left = node.expr, self.shape(node.expr)
        for operand in node.ops:
            operand.lineno = node.lineno  # Jinja gives it none.
            right = self.shape(operand.expr)
            self._compared(operand, (left_node, left), (operand.expr, right))
            if len(node.ops) == 1:
                return _outcome(operand.op, left, right)
            left_node, left = operand.expr, right
        return BOOLEAN

    def _compared(
        self, operand: nodes.Operand, one: tuple[nodes.Node, Shape], other: tuple[nodes.Node, Shape]
    ) -> None:
        (left_node, left), (right_node, right) = one, other
        if operand.op in ("in", "notin"):
            self._looked_up(operand, one, other)
            return
        text = f"{said(left_node)} {_SYMBOLS[operand.op]} {said(right_node)}"
        if operand.op in ("eq", "ne"):
            self._equal(operand, left, right, text)
            return
        if not (left.known and right.known) or left.members or right.members:
            return
        if isinstance(left.sample, datetime) and isinstance(right.sample, datetime):
            return
        try:
            _COMPARE[operand.op](left.sample, right.sample)
        except TypeError:
            kinds = f"{left.kind} with {right.kind}"
            message = f"{text} compares {kinds}, which have no order"
            self.report(operand, "bad-comparison", message, remedy(left, right), "")

    def _equal(self, operand: nodes.Operand, left: Shape, right: Shape, text: str) -> None:
        if never_equal(left, right):
            message = f"{text} compares {left.kind} with {right.kind}, which are never equal"
            self.report(operand, "bad-comparison", message, remedy(left, right), "")
            return
        for words, word in ((left.words, right), (right.words, left)):
            if words and word.exact and isinstance(word.sample, str) and word.sample not in words:
                message = f'{text} is never true: there is no "{word.sample}"'
                hint = did_you_mean(word.sample, words, listed_as="it is one of")
                if "did you mean" in hint and len(words) <= 9:
                    hint += f" It is one of: {', '.join(words)}"
                self.report(operand, "bad-comparison", message, hint, word.sample)

    def _looked_up(
        self, operand: nodes.Operand, one: tuple[nodes.Node, Shape], other: tuple[nodes.Node, Shape]
    ) -> None:
        (left_node, left), (right_node, right) = one, other
        text = f"{said(left_node)} in {said(right_node)}"
        if isinstance(right_node, nodes.List | nodes.Tuple):
            for item in right_node.items:
                self._equal(operand, left, self.shape(item), text)
        elif left.known and right.known and right.members is None:
            try:
                operator.contains(right.sample, left.sample)
            except TypeError:
                message = f"{text} looks for {left.kind or 'it'} in {right.kind or 'that'}"
                self.report(operand, "bad-comparison", message, remedy(left, right), "")

    _of_Add = _of_Sub = _of_Mul = _of_Div = _of_FloorDiv = _of_Mod = _of_Pow = _binary


def _outcome(symbol: str, left: Shape, right: Shape) -> Shape:
    """Return what a comparison gives: which of the two, where both values are known."""
    if truth_of(left) is None or truth_of(right) is None:
        return BOOLEAN
    try:
        return Shape(bool(_COMPARED[symbol](left.sample, right.sample)), exact=True)
    except TypeError:
        return BOOLEAN
