"""Finds in a template what no run could render: unknown names, filters, types that do not fit.

An expression is followed with samples (see `shapes`) through the environment that renders
templates, so that both know the same names, filters, methods and bounds.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError, nodes

from headrace.template import budget
from headrace.template.operators import Operators
from headrace.template.sandbox import BoundedEnvironment
from headrace.template.shapes import ANY, Shape, joined, truth_of
from headrace.template.sql import environment as sql_environment
from headrace.template.syntax import bound_by, is_plain, tree_of, tree_of_expression
from headrace.template.values import environment as value_environment

BRACES_HINT = "write an expression in {{ }}; {{ '{{' }} writes the braces themselves"


class Fault(NamedTuple):
    """A mistake on a line of a template, from 1. `word` is the part of the line that is meant."""

    code: str
    message: str
    hint: str = ""
    line: int = 1
    word: str = ""


class Checked(NamedTuple):
    """Shape of what a template will yield, and its problems."""

    shape: Shape
    faults: tuple[Fault, ...]


def check_value(
    template: str, variables: Mapping[str, Shape], hints: Mapping[str, str] | None = None
) -> Checked:
    """Check a value of a pipeline file. `hints` say more of names that have no value here."""
    environment = value_environment
    fault = _fault_of(template, environment)
    if fault is not None:
        return Checked(ANY, (fault,))
    body = tree_of(template).body
    single = body[0] if len(body) == 1 and isinstance(body[0], nodes.Output) else None
    checker = _Checker(environment, variables, hints)
    with budget.rendering({}):
        if single is not None and len(single.nodes) == 1:
            shape = checker.shape(single.nodes[0])
        else:
            checker.statements(body)
            shape = Shape("text")
    return Checked(shape, tuple(checker.faults))


def check_expression(
    expression: str, variables: Mapping[str, Shape], hints: Mapping[str, str] | None = None
) -> Checked:
    """Check a condition."""
    try:
        tree = tree_of_expression(expression)
    except TemplateSyntaxError as error:
        return Checked(ANY, (_syntax(error),))
    except RecursionError:
        return Checked(ANY, (_TOO_DEEP,))
    checker = _Checker(value_environment, variables, hints)
    with budget.rendering({}):
        shape = checker.shape(tree)
    return Checked(shape, tuple(checker.faults))


def check_sql(
    template: str, variables: Mapping[str, Shape], hints: Mapping[str, str] | None = None
) -> tuple[Fault, ...]:
    """Check an SQL template."""
    if is_plain(template):
        return ()
    fault = _fault_of(template, sql_environment)
    if fault is not None:
        return (fault,)
    checker = _Checker(sql_environment, variables, hints)
    with budget.rendering({}):
        checker.statements(tree_of(template).body)
    return tuple(checker.faults)


_TOO_DEEP = Fault(
    "bad-template", "this is not a valid template: it is nested too deeply", "nest less"
)


@lru_cache(maxsize=256)
def _fault_of(template: str, environment: BoundedEnvironment) -> Fault | None:
    """Return what keeps a template from being compiled at all."""
    try:
        environment.parse(template)  # Not compiled: that takes ten times as long.
    except TemplateSyntaxError as error:
        return _syntax(error)
    except RecursionError:
        return _TOO_DEEP
    return None


def _syntax(error: TemplateSyntaxError) -> Fault:
    message = (error.message or "it cannot be read").rstrip(".")
    return Fault(
        "bad-template", f"this is not a valid template: {message}", BRACES_HINT, error.lineno
    )


class _Checker(Operators):
    """Follows the statements of one template."""

    def __init__(
        self,
        environment: BoundedEnvironment,
        variables: Mapping[str, Shape],
        hints: Mapping[str, str] | None,
    ) -> None:
        super().__init__(environment, variables)
        self.hints = hints or {}
        self.faults: list[Fault] = []

    def report(self, node: nodes.Node, code: str, message: str, hint: str, word: str) -> None:
        fault = Fault(code, message, self.hints.get(word, hint), node.lineno, word)
        if fault not in self.faults:
            self.faults.append(fault)

    def statements(self, body: list[nodes.Node]) -> None:
        """Follow statements in their order."""
        for node in body:
            visit: Callable[[Any], None] | None = getattr(self, f"_{type(node).__name__}", None)
            if visit is not None:
                visit(node)
            elif isinstance(node, nodes.Expr):
                self.shape(node)
            else:
                self.statements(list(node.iter_child_nodes()))

    def _Output(self, node: nodes.Output) -> None:
        for child in node.nodes:
            if not isinstance(child, nodes.TemplateData):
                self.printed(child, self.shape(child))

    def _If(self, node: nodes.If) -> None:
        known = truth_of(self.shape(node.test))
        if known is not False:
            self.statements(list(node.body))
        if known is not True:
            self.statements([*node.elif_, *node.else_])

    def _For(self, node: nodes.For) -> None:
        item = self.item_of(node.iter, self.shape(node.iter))
        before = dict(self.variables)
        self._bind(node.target, item)
        self.variables["loop"] = ANY
        if node.test is not None:
            self.shape(node.test)
        self.statements(list(node.body))
        self.variables = before
        self.statements(list(node.else_))

    def _Assign(self, node: nodes.Assign) -> None:
        self._bind(node.target, self.shape(node.node))

    def _Macro(self, node: nodes.Macro) -> None:
        for default in node.defaults:
            self.shape(default)
        before = dict(self.variables)
        names = (node.name, *(one.name for one in node.args), "varargs", "kwargs", "caller")
        self.variables |= dict.fromkeys(names, ANY)
        self.statements(list(node.body))
        self.variables = {**before, node.name: ANY}

    def _With(self, node: nodes.With) -> None:
        before = dict(self.variables)
        shapes = [self.shape(value) for value in node.values]
        for target, shape in zip(node.targets, shapes, strict=True):
            self._bind(target, shape)
        self.statements(list(node.body))
        self.variables = before

    def _bind(self, target: nodes.Node, shape: Shape) -> None:
        if isinstance(target, nodes.Name):
            known = self.variables.get(target.name)
            # Set twice, in a branch or a loop, it may be the one or the other.
            again = known is not None and target.name in self.assigned
            self.variables[target.name] = joined([known, shape]) if again and known else shape
            self.assigned.add(target.name)
        else:
            for name in bound_by(target):
                self.variables[name] = ANY
