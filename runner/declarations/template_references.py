"""Finds the names to which the templates in a pipeline's values refer."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from headrace.declarations.source import KeyPath
from headrace.template.braces import has_template
from headrace.template.syntax import Reading, reading, reading_of_expression

__all__ = ["References", "is_template", "of_condition", "references", "scalars"]


class References(NamedTuple):
    """Names that one template uses. `fault`: why it is no template at all.

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
    return _from(reading(template))


def of_condition(expression: str) -> References:
    """Return what a `when` refers to: a bare expression, or one within `{{ }}`."""
    return _from(reading_of_expression(expression))


def _from(read: Reading) -> References:
    if read.fault:
        return References(fault=read.fault)
    upstream = read.of("upstream")
    parts = {(str(chain[0]), str(chain[1])) for chain in upstream if len(chain) > 1}
    whole = {str(chain[0]) for chain in upstream if len(chain) == 1}
    return References(
        frozenset(str(chain[0]) for chain in read.of("params")),
        frozenset(str(chain[0]) for chain in read.of("steps")),
        of_template="template" in read.names,
        names=read.names,
        upstream=frozenset(parts | {(name, "") for name in whole - {one for one, _ in parts}}),
        upstream_params=frozenset(
            (str(chain[0]), str(chain[2]))
            for chain in upstream
            if len(chain) > 2 and chain[1] == "params"
        ),
    )


is_template = has_template


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
