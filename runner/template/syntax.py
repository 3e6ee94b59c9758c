"""Reads templates on their syntax tree: what they name, and what of them is plain text.

Nothing is rendered. Every other module that wants to know what a template says asks here; none
searches the text by itself.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from headrace.template.braces import has_template
from headrace.template.sandbox import DICT_METHODS

Link = str | int
Chain = tuple[Link, ...]
"""`steps.load.result["rows"][0]` as ("steps", "load", "result", "rows", 0)."""

# Parses only: a filter or test that does not exist is the checker's to report.
_ENVIRONMENT = Environment(autoescape=False, keep_trailing_newline=True)  # noqa: S701
_SHORT = 2_000
_OPENS = ("variable_begin", "block_begin", "comment_begin")
_CLOSES = ("variable_end", "block_end", "comment_end")
_PRINTED = frozenset({"data", "raw_begin", "raw_end"})


class Reading(NamedTuple):
    """Content of one template. `fault` is why it is none, on its line `fault_line`.

    `names` are the variables that it takes from outside, `chains` the longest paths that begin
    with one of them.
    """

    names: frozenset[str] = frozenset()
    chains: frozenset[Chain] = frozenset()
    fault: str = ""
    fault_line: int = 0

    def of(self, *head: str) -> frozenset[Chain]:
        """Return the chains that go on from `head`, without it."""
        count = len(head)
        return frozenset(
            chain[count:] for chain in self.chains if chain[:count] == head and len(chain) > count
        )

    def has(self, *head: str) -> bool:
        """Return whether a chain begins with `head`."""
        return any(chain[: len(head)] == head for chain in self.chains)


class Piece(NamedTuple):
    """A stretch of a template from `start` to `end`: printed text, or something in braces.

    `words` are the tokens inside the braces, without whitespace; None for printed text.
    """

    start: int
    end: int
    words: tuple[str, ...] | None


def is_plain(text: str) -> bool:
    """Return whether a text is what it renders to; the language makes one kind of line's end."""
    return not has_template(text) and "\r" not in text


def reading(template: str) -> Reading:
    """Return what a template says."""
    return _remembered(template, False) if len(template) <= _SHORT else _read(template, False)


def reading_of_expression(expression: str) -> Reading:
    """Return what a bare expression says, or one within `{{ }}`, as `when` has it."""
    return _remembered(expression, True) if len(expression) <= _SHORT else _read(expression, True)


@lru_cache(maxsize=8192)
def _remembered(text: str, expression: bool) -> Reading:
    return _read(text, expression)


def _read(text: str, expression: bool) -> Reading:
    try:
        tree = tree_of_expression(text) if expression else tree_of(text)
        found = _Finder()
        found.visit_in(tree, frozenset())
    except TemplateSyntaxError as error:
        return Reading(fault=error.message or "it cannot be read", fault_line=error.lineno)
    except RecursionError:
        return Reading(fault="it is nested too deeply", fault_line=1)
    return Reading(frozenset(found.names), frozenset(found.chains))


@lru_cache(maxsize=256)
def tree_of(template: str) -> nodes.Template:
    """Return a template's syntax tree, which is not to be changed: several may look at it.

    Raises:
        TemplateSyntaxError: it is no template.
    """
    return Parser(_ENVIRONMENT, template).parse()


def tree_of_expression(expression: str) -> nodes.Expr:
    """Return the syntax tree of a bare expression, or of one within `{{ }}`.

    Raises:
        TemplateSyntaxError: it is no single expression.
    """
    expression = expression.strip()
    inner = single_expression(expression)
    source = expression if inner is None else inner
    if not source.strip():
        raise TemplateSyntaxError("it is empty", 1)
    parser = Parser(_ENVIRONMENT, source, state="variable")
    tree = parser.parse_expression()
    if not parser.stream.eos:
        token = parser.stream.current
        raise TemplateSyntaxError(f"unexpected {str(token.value)!r}", token.lineno)
    return tree


def single_expression(text: str) -> str | None:
    """Return what stands between the braces where the whole text is one expression.

    Raises:
        TemplateSyntaxError: the text cannot be cut into tokens.
    """
    if "{{" not in text:
        return None
    lexed = [(kind, value) for _, kind, value in _ENVIRONMENT.lex(text)]
    kinds = [kind for kind, _ in lexed]
    if kinds.count("variable_begin") != 1 or not {"data", "block_begin"}.isdisjoint(kinds):
        return None
    if kinds[0] != "variable_begin" or kinds[-1] != "variable_end":
        return None
    return "".join(value for _, value in lexed[1:-1])


def is_single_expression(text: str) -> bool:
    """Return whether a text is one expression in braces, and so keeps what it yields."""
    try:
        return single_expression(text) is not None
    except TemplateSyntaxError:
        return False


def pieces(template: str) -> list[Piece]:
    """Return the stretches of a template in their order; none where it is no template.

    A stretch inside `{% raw %}` is printed text.
    """
    try:
        return list(_pieces(template))
    except TemplateSyntaxError:
        return []


def _pieces(template: str) -> Iterator[Piece]:
    end, opened = 0, -1
    words: list[str] = []
    # Jinja makes one character of a line's end `\r\n`, after which no place would be right.
    template = template.replace("\r", " ")
    for _line, kind, value in _ENVIRONMENT.lex(template):
        # Jinja drops the whitespace that `{%-` swallows: its tokens do not cover the text.
        start = template.index(value, end)
        end = start + len(value)
        if kind in _OPENS:
            opened, words = start, []
        elif kind in _CLOSES:
            yield Piece(opened, end, tuple(words))
            opened = -1
        elif opened < 0:
            if kind in _PRINTED:
                yield Piece(start, end, None)
        elif kind != "whitespace":
            words.append(value)


def chain_of(node: nodes.Node) -> Chain:
    """Return the links of `a.b["c"][0]`, or nothing where it is no such chain."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        before = chain_of(node.node)
        return (*before, node.attr) if before else ()
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        before = chain_of(node.node)
        link = node.arg.value
        return (*before, link if isinstance(link, int) else str(link)) if before else ()
    return ()


def bound_by(target: nodes.Node) -> frozenset[str]:
    """Return the names that a loop or `set` gives a value."""
    return frozenset(name.name for name in [*target.find_all(nodes.Name), *_itself(target)])


def _itself(target: nodes.Node) -> list[nodes.Name]:
    return [target] if isinstance(target, nodes.Name) else []


class _Finder:
    """Collects names and chains, leaving out what the template binds itself."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.chains: set[Chain] = set()

    def visit_in(self, node: nodes.Node, bound: frozenset[str]) -> frozenset[str]:
        """Visit a node; returns the names that are bound after it."""
        chain = chain_of(node)
        if chain:
            self._keep(chain, bound)
            return bound
        visit: Any = getattr(self, f"_visit_{type(node).__name__}", None)
        if visit is not None:
            after: frozenset[str] = visit(node, bound)
            return after
        for child in node.iter_child_nodes():
            bound = self.visit_in(child, bound)
        return bound

    def _keep(self, chain: Chain, bound: frozenset[str]) -> None:
        if chain[0] not in bound:
            self.names.add(str(chain[0]))
            self.chains.add(chain)

    def _visit_Call(self, node: nodes.Call, bound: frozenset[str]) -> frozenset[str]:
        # `params.get("x")` is a method of the mapping, not a parameter.
        target = chain_of(node.node)
        if len(target) > 1 and target[-1] in DICT_METHODS:
            self._keep(target[:-1], bound)
        else:
            self.visit_in(node.node, bound)
        for child in (*node.args, *node.kwargs, node.dyn_args, node.dyn_kwargs):
            if child is not None:
                self.visit_in(child, bound)
        return bound

    def _visit_For(self, node: nodes.For, bound: frozenset[str]) -> frozenset[str]:
        self.visit_in(node.iter, bound)
        inside = bound | bound_by(node.target) | {"loop"}
        for child in (*([node.test] if node.test else []), *node.body):
            inside = self.visit_in(child, inside)
        for child in node.else_:
            self.visit_in(child, bound)
        return bound

    def _visit_Assign(self, node: nodes.Assign, bound: frozenset[str]) -> frozenset[str]:
        self.visit_in(node.node, bound)
        return bound | bound_by(node.target)

    def _visit_Macro(self, node: nodes.Macro, bound: frozenset[str]) -> frozenset[str]:
        for default in node.defaults:
            self.visit_in(default, bound)
        inside = bound | {node.name, *(one.name for one in node.args), *_OF_MACROS}
        for child in node.body:
            inside = self.visit_in(child, inside)
        return bound | {node.name}

    def _visit_With(self, node: nodes.With, bound: frozenset[str]) -> frozenset[str]:
        for value in node.values:
            self.visit_in(value, bound)
        inside = bound.union(*map(bound_by, node.targets))
        for child in node.body:
            inside = self.visit_in(child, inside)
        return bound


_OF_MACROS = ("varargs", "kwargs", "caller")
