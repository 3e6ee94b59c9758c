"""What the templates in a pipeline's values refer to."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

from jinja2 import Environment, TemplateSyntaxError, nodes

from runner.source import KeyPath

_ENVIRONMENT = Environment(autoescape=False)  # noqa: S701 - parses, never renders
_SHORT = 1_000


class References(NamedTuple):
    """What one template uses. `fault`: why it is no template at all.

    `of_template`: it names `template`, which a step template's values are called. `names` are
    the variables, whatever they hold. `upstream` has pairs of a pipeline and what is read of
    it, `upstream_params` of a pipeline and the parameter that is read of it.
    """

    params: frozenset[str] = frozenset()
    steps: frozenset[str] = frozenset()
    fault: str = ""
    of_template: bool = False
    names: frozenset[str] = frozenset()
    upstream: frozenset[tuple[str, str]] = frozenset()
    upstream_params: frozenset[tuple[str, str]] = frozenset()


def references(template: str) -> References:
    """Return what a template refers to. Nothing is rendered."""
    return _remembered(template) if len(template) <= _SHORT else _found(template)


@lru_cache(maxsize=4096)
def _remembered(template: str) -> References:
    return _found(template)


def _found(template: str) -> References:
    try:
        tree = _ENVIRONMENT.parse(template)
        upstream, upstream_params = _upstream(tree)
        names = frozenset(node.name for node in tree.find_all(nodes.Name))
        return References(
            _members_of("params", tree),
            _members_of("steps", tree),
            of_template="template" in names,
            names=names,
            upstream=upstream,
            upstream_params=upstream_params,
        )
    except TemplateSyntaxError as error:
        return References(fault=error.message or "it cannot be read")
    except RecursionError:
        return References(fault="it is nested too deep")


def _members_of(name: str, tree: nodes.Template) -> frozenset[str]:
    found = set()
    for attribute in tree.find_all(nodes.Getattr):
        if _is_named(name, attribute.node):
            found.add(attribute.attr)
    for item in tree.find_all(nodes.Getitem):
        if _is_named(name, item.node) and isinstance(item.arg, nodes.Const):
            found.add(str(item.arg.value))
    return frozenset(found)


def _upstream(
    tree: nodes.Template,
) -> tuple[frozenset[tuple[str, str]], frozenset[tuple[str, str]]]:
    """Return what is read of which pipeline; '' where all of it is handed on."""
    chains = {_chain(node) for node in tree.find_all((nodes.Getattr, nodes.Getitem))}
    found = {chain[1:] for chain in chains if chain[:1] == ("upstream",)}
    read = {(names[0], names[1]) for names in found if len(names) > 1}
    whole = {(names[0], "") for names in found if len(names) == 1}
    return (
        frozenset(read | {one for one in whole if one[0] not in dict(read)}),
        frozenset(
            (names[0], names[2]) for names in found if len(names) > 2 and names[1] == "params"
        ),
    )


def _chain(node: nodes.Node) -> tuple[str, ...]:
    """Return the names of `a.b["c"]`, or nothing where it is no such chain."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if isinstance(node, nodes.Getattr):
        return _linked(node.node, node.attr)
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return _linked(node.node, str(node.arg.value))
    return ()


def _linked(node: nodes.Node, name: str) -> tuple[str, ...]:
    before = _chain(node)
    return (*before, name) if before else ()


def _is_named(name: str, node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == name


def is_template(value: object) -> TypeGuard[str]:
    """Tell whether a value is text that is rendered before it is used."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def scalars(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every scalar below a value with its path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from scalars(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from scalars(part, (*path, index))
    else:
        yield path, value
