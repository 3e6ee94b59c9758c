"""Lists the faults that can be made in a Python file: one small change each.

ADR 45 says why these are our own and not a library's.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from tests.mutants.faults import Fault

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
}
_WORD = re.compile(r"[\w./:-]{1,40}")
_SIGN = re.compile(r"\bis\s+not\b|\bnot\s+in\b|\bin\b|\bis\b|[=!<>]=|[<>]")
_LOGICAL = re.compile(rb"\b(and|or)\b")


@dataclass(frozen=True)
class _Place:
    """The statement in which a node lies: where it is marked, and whether in a function."""

    mark: int
    inside: bool


class PythonFaults:
    """The faults of one file."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._source = text.encode()
        self._starts = [0]
        for line in self._source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._tree = ast.parse(text)

    def __iter__(self) -> Iterator[Fault]:
        yield from self._in_body(self._tree.body, inside=False)

    def marked_lines(self) -> Iterator[int]:
        """Yield the lines within functions that are marked when they are executed."""
        functions = [one for one in ast.walk(self._tree) if isinstance(one, _FUNCTIONS)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.stmt) and node is not function and not _is_text(node):
                    yield node.lineno

    # -- statements ---------------------------------------------------------------------------

    def _in_body(self, body: list[ast.stmt], *, inside: bool) -> Iterator[Fault]:
        for statement in body:
            if _says_nothing(statement):
                continue
            place = _Place(statement.lineno, inside)
            yield from self._of_statement(statement, place)
            for part in _expressions(statement):
                yield from self._in_expression(part, place)
            within = inside or isinstance(statement, _FUNCTIONS)
            for handler in getattr(statement, "handlers", ()):
                yield from self._of_handler(handler, within)
            for case in getattr(statement, "cases", ()):
                yield from self._in_body(case.body, inside=within)
            for field in ("body", "orelse", "finalbody"):
                yield from self._in_body(getattr(statement, field, []), inside=within)

    def _of_statement(self, one: ast.stmt, place: _Place) -> Iterator[Fault]:
        match one:
            case ast.Expr(value=ast.Call() | ast.Await()):
                yield self._fault("call dropped", one, "pass", place)
            case ast.Return(value=value) if value is not None and not _is_false(value):
                yield self._fault("result emptied", value, "None", place)
            case ast.Break():
                yield self._fault("loop", one, "continue", place)
            case ast.Continue():
                yield self._fault("loop", one, "break", place)
            case ast.If(test=test):
                yield self._fault("branch dropped", test, "False", place)
                yield self._fault("condition dropped", test, "True", place)
            case ast.AugAssign(op=op, target=target, value=value) if type(op) in _ARITHMETIC:
                old, new = _ARITHMETIC[type(op)]
                yield from self._between("arithmetic", target, value, (old, new), place)

    def _of_handler(self, handler: ast.ExceptHandler, inside: bool) -> Iterator[Fault]:
        # The branch matters once it is taken: its first line is the mark.
        place = _Place(handler.body[0].lineno, inside)
        if handler.type is not None:
            yield self._fault("except dropped", handler.type, "()", place)
            yield from self._in_expression(handler.type, place)
        yield from self._in_body(handler.body, inside=inside)

    # -- expressions --------------------------------------------------------------------------

    def _in_expression(self, node: ast.AST, place: _Place) -> Iterator[Fault]:
        if isinstance(node, ast.JoinedStr):
            return  # Python 3.11 does not know where its parts are
        yield from self._of_expression(node, place)
        for child in ast.iter_child_nodes(node):
            yield from self._in_expression(child, place)

    def _of_expression(self, node: ast.AST, place: _Place) -> Iterator[Fault]:
        match node:
            case ast.Compare():
                yield from self._of_comparison(node, place)
            case ast.BoolOp():
                yield from self._of_logic(node, place)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._fault("not dropped", node, self._text(operand), place)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                if not _is_message(left) and not _is_message(right):
                    yield from self._between(
                        "arithmetic", left, right, _ARITHMETIC[type(op)], place
                    )
            case ast.IfExp(test=test):
                yield self._fault("condition dropped", test, "True", place)
                yield self._fault("branch dropped", test, "False", place)
            case ast.Call():
                yield from self._of_call(node, place)
            case ast.Constant():
                yield from self._of_constant(node, place)
            case _:
                yield from self._of_collection(node, place)

    def _of_collection(self, node: ast.AST, place: _Place) -> Iterator[Fault]:
        spans: list[tuple[int, int]] = []
        match node:
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    begin, end = self._span(value)
                    start = self._span(key)[0] if key else self._source.rfind(b"**", 0, begin)
                    spans.append((start, end))
                yield from self._without_one("key dropped", spans, place)
            case ast.Set(elts=elements) | ast.List(elts=elements) | ast.Tuple(elts=elements):
                if len(elements) > 2 or isinstance(node, ast.Set):
                    spans += map(self._span, elements)
                    yield from self._without_one("element dropped", spans, place)

    def _of_comparison(self, node: ast.Compare, place: _Place) -> Iterator[Fault]:
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            start, end = self._span(left)[1], self._span(right)[0]
            text = _SIGN.sub(_COMPARISONS[type(op)], self._source[start:end].decode(), count=1)
            yield self._made("comparison", left, (start, end), text, place)
            left = right

    def _of_logic(self, node: ast.BoolOp, place: _Place) -> Iterator[Fault]:
        new = b"or" if isinstance(node.op, ast.And) else b"and"
        start, end = self._span(node)
        text, last = b"", start
        for one, other in zip(node.values, node.values[1:], strict=False):
            begin, finish = self._span(one)[1], self._span(other)[0]
            text += self._source[last:begin] + _LOGICAL.sub(new, self._source[begin:finish])
            last = finish
        text += self._source[last:end]
        yield self._made("and/or", node, (start, end), text.decode(), place)

    def _of_call(self, node: ast.Call, place: _Place) -> Iterator[Fault]:
        for keyword in node.keywords:
            if keyword.arg is not None:
                start, end = self._span(keyword)
                after = re.match(rb"\s*,", self._source[end:])
                end += after.end() if after else 0
                yield self._made("argument dropped", keyword, (start, end), "", place)
        if len(node.args) > 1 and not _is_symmetric(node):
            one, other = node.args[:2]
            (start, middle), (begin, end) = self._span(one), self._span(other)
            swapped = self._text(other) + self._source[middle:begin].decode() + self._text(one)
            yield self._made("arguments swapped", one, (start, end), swapped, place)

    def _of_constant(self, node: ast.Constant, place: _Place) -> Iterator[Fault]:
        value = node.value
        if isinstance(value, bool):
            yield self._fault("constant", node, str(not value), place)
        elif isinstance(value, int | float):
            yield self._fault("constant", node, repr(value + 1), place)
        elif isinstance(value, str) and _WORD.fullmatch(value):
            yield self._fault("constant", node, repr(f"XX{value}XX"), place)

    # -- texts --------------------------------------------------------------------------------

    def _without_one(
        self, operator: str, spans: list[tuple[int, int]], place: _Place
    ) -> Iterator[Fault]:
        next_starts = [start for start, _ in spans[1:]]
        for (start, own_end), next_start in zip_longest(spans, next_starts):
            after = re.match(rb"(\s*,)?", self._source[own_end:])
            assert after is not None
            end = own_end + after.end() if next_start is None else next_start
            line = self._source.count(b"\n", 0, start) + 1
            yield Fault(self._path, line, place.mark, operator, start, end, "", place.inside)

    def _between(
        self, operator: str, left: ast.expr, right: ast.expr, signs: tuple[str, str], place: _Place
    ) -> Iterator[Fault]:
        start, end = self._span(left)[1], self._span(right)[0]
        text = self._source[start:end].decode().replace(*signs, 1)
        yield self._made(operator, left, (start, end), text, place)

    def _fault(self, operator: str, node: ast.expr | ast.stmt, new: str, place: _Place) -> Fault:
        return self._made(operator, node, self._span(node), new, place)

    def _made(
        self,
        operator: str,
        node: ast.expr | ast.stmt | ast.keyword,
        span: tuple[int, int],
        new: str,
        place: _Place,
    ) -> Fault:
        return Fault(self._path, node.lineno, place.mark, operator, *span, new, inside=place.inside)

    def _span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield what a statement computes itself; types and decorators are for other tools."""
    left_out = {"annotation", "returns", "decorator_list", "type_params"}
    for name, field in ast.iter_fields(statement):
        if name in left_out:
            continue
        for part in field if isinstance(field, list) else [field]:
            if isinstance(part, ast.arguments):
                yield from (one for one in (*part.defaults, *part.kw_defaults) if one is not None)
            elif isinstance(part, ast.withitem):
                yield part.context_expr
            elif isinstance(part, ast.expr | ast.keyword):
                yield part


def _says_nothing(statement: ast.stmt) -> bool:
    """Return whether a fault in it could not be seen: a docstring, an assert, a type's name."""
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) == "TYPE_CHECKING"
    if isinstance(statement, ast.Assign):
        names = ast.unparse(statement.targets[0])
        called = ast.unparse(statement.value).partition("(")[0]
        return names in ("__all__", "__slots__") or called in ("TypeVar", "ParamSpec", "NewType")
    return _is_text(statement) or isinstance(statement, ast.Assert | ast.Import | ast.ImportFrom)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_false(node: ast.expr) -> bool:
    """Return whether None in its place says the same to who asks whether it is true."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)


def _is_symmetric(node: ast.Call) -> bool:
    """Return whether the first two arguments mean the same in either order, or are not two."""
    largest = isinstance(node.func, ast.Name) and node.func.id in ("max", "min")
    return largest or any(isinstance(one, ast.Starred) for one in node.args[:2])


def _is_message(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
