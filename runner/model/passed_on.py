"""Reads from the source of a constructor what it passes on to the one above it."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Passed:
    """Arguments that a constructor with `**kwargs` passes to the one above.

    `fixed` and the first `positional` parameters it gives itself. `optional` ones it gives where
    they are left out, `popped` ones it takes for itself, with whether they are required. With
    `anything` it gives what cannot be read. `forwards` says whether it passes `**kwargs` on.
    """

    forwards: bool = True
    fixed: frozenset[str] = frozenset()
    positional: int = 0
    optional: frozenset[str] = frozenset()
    popped: Mapping[str, bool] = field(default_factory=dict)
    anything: bool = False


def passed_on(init: Callable[..., Any], rest: str) -> Passed:
    """Return what a constructor passes on, where `rest` is the name of its `**kwargs`.

    One that calls no other constructor is taken to pass on all, as one of C does.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return Passed(anything=True)  # Without source: a class made at run time.
    calls = [_Call(node, rest) for node in ast.walk(tree) if _is_constructor(node)]
    changes = _Changes(tree, rest)
    if not calls:
        return Passed(optional=changes.optional, popped=changes.popped)
    fixed = frozenset.intersection(*(call.fixed for call in calls))
    return Passed(
        forwards=any(call.forwards or call.anything for call in calls),
        fixed=fixed,
        positional=min(call.positional for call in calls),
        optional=frozenset().union(changes.optional, *(c.fixed | c.optional for c in calls)),
        popped=changes.popped,
        anything=changes.anything or any(call.anything for call in calls),
    )


def _is_constructor(node: ast.AST) -> bool:
    """Return whether a node is `super().__init__(…)` or `Above.__init__(self, …)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "__init__"
    )


class _Call:
    """One call of a constructor."""

    def __init__(self, node: Any, rest: str) -> None:
        self.forwards = self.anything = False
        of_super = isinstance(node.func.value, ast.Call)
        values = node.args if of_super else node.args[1:]
        spread = [at for at, one in enumerate(values) if isinstance(one, ast.Starred)]
        self.positional = spread[0] if spread else len(values)
        fixed = {one.arg for one in node.keywords if one.arg is not None}
        optional: set[str] = set()
        for one in node.keywords:
            if one.arg is None:
                optional.update(self._spread(one.value, rest))
        self.fixed, self.optional = frozenset(fixed), frozenset(optional)

    def _spread(self, value: ast.expr, rest: str) -> Iterator[str]:
        """Yield the names in what stands behind `**`."""
        if isinstance(value, ast.Name) and value.id == rest:
            self.forwards = True
        elif isinstance(value, ast.Dict):
            for key, item in zip(value.keys, value.values, strict=True):
                if key is None:
                    yield from self._spread(item, rest)
                elif isinstance(key, ast.Constant):
                    yield str(key.value)
                else:
                    self.anything = True
        else:
            self.anything = True


class _Changes:
    """The changes that a constructor makes to its `**kwargs` before it passes them on."""

    def __init__(self, tree: ast.AST, rest: str) -> None:
        self._rest = rest
        self.popped: dict[str, bool] = {}
        optional: set[str] = set()
        self.anything = False
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                if self._is_rest(node.func.value):
                    optional.update(self._method(node.func.attr, node.args))
            elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
                if self._is_rest(node.value):
                    optional.update(self._method("setdefault", [node.slice]))
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.anything = self.anything or node.id == rest
        self.optional = frozenset(optional)

    def _is_rest(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id == self._rest

    def _method(self, name: str, values: list[ast.expr]) -> Iterator[str]:
        first = values[0] if values else None
        if name == "setdefault" and isinstance(first, ast.Constant):
            yield str(first.value)
        elif name == "pop" and isinstance(first, ast.Constant):
            self.popped.setdefault(str(first.value), len(values) == 1)
        elif name in ("setdefault", "update", "pop"):
            self.anything = True
