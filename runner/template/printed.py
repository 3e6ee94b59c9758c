"""Determines which values a template prints unchanged: there the spelling of a number is seen."""

from collections.abc import Iterator, Mapping

from jinja2 import TemplateSyntaxError, nodes

from headrace.template.syntax import Chain, chain_of, single_expression, tree_of

# These spell what they are given, and change nothing else of it.
_SPELLING = frozenset({"default", "d", "join", "trim", "first", "last", "list", "unique"})


def is_text(template: str) -> bool:
    """Return whether a template becomes a text, whatever its values are."""
    try:
        return single_expression(template) is None
    except TemplateSyntaxError:
        return False


def printed(template: str) -> frozenset[Chain]:
    """Return the paths whose values a template writes out; of a loop, that of its list."""
    try:
        tree = tree_of(template)
    except (TemplateSyntaxError, RecursionError):
        return frozenset()
    loops = {
        loop.target.name: chain_of(loop.iter)
        for loop in tree.find_all(nodes.For)
        if isinstance(loop.target, nodes.Name)
    }
    found = (
        chain
        for output in tree.find_all(nodes.Output)
        for node in output.nodes
        for chain in _spelt(node)
    )
    return frozenset(filter(None, (_outside(chain, loops) for chain in found)))


def _outside(chain: Chain, loops: Mapping[str, Chain]) -> Chain:
    """Return where a loop's value comes from."""
    for _ in loops:
        if str(chain[0]) not in loops:
            break
        chain = loops[str(chain[0])]
        if not chain:
            break
    return chain


def _spelt(node: nodes.Node) -> Iterator[Chain]:
    chain = chain_of(node)
    if chain:
        yield chain
        return
    parts: list[nodes.Node | None] = []
    if isinstance(node, nodes.Concat):
        parts = list(node.nodes)
    elif isinstance(node, nodes.Filter) and node.name in _SPELLING:
        parts = [node.node, *node.args]
    elif isinstance(node, nodes.CondExpr):
        parts = [node.expr1, node.expr2]
    elif isinstance(node, nodes.And | nodes.Or):
        parts = [node.left, node.right]
    elif isinstance(node, nodes.List | nodes.Tuple):
        parts = list(node.items)
    for part in parts:
        if part is not None:
            yield from _spelt(part)
