"""Follows the calls, filters and tests of a template with samples."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import nodes

from headrace.errors.suggestions import did_you_mean
from headrace.template.expressions import Expressions
from headrace.template.failures import GUIDE
from headrace.template.sandbox import DICT_METHODS, METHODS
from headrace.template.shapes import (
    ANY,
    BOOLEAN,
    LIST,
    NUMBER,
    TEXT,
    Shape,
    joined,
    like,
    of_value,
)

# These take what is not there.
_LENIENT_TESTS = ("defined", "undefined", "none")
_LENIENT_FILTERS = ("default", "d")
# Their first argument is the name of a filter, or of a test.
_NAMES_FILTER = ("map",)
_NAMES_TEST = ("select", "reject")
# What these give is of one type, whatever they are given.
_MAKES: dict[str, Shape] = dict.fromkeys(
    "upper lower title capitalize trim join replace tojson iso strftime".split(), TEXT
)
_MAKES |= dict.fromkeys("length count round int float".split(), NUMBER)
_METHODS = frozenset({"cycle", "changed"}).union(*METHODS.values())
_MAKES |= dict.fromkeys("list sort dictsort".split(), LIST)


class Calls(Expressions):
    """Gives the shape of what is called."""

    def _of_Call(self, node: nodes.Call) -> Shape:
        target = node.node
        if isinstance(target, nodes.Getattr):
            holder = self.shape(target.node)
            own = holder.members is not None and target.attr not in holder.members
            if own and target.attr in DICT_METHODS:
                self._arguments(node)
                return ANY
            function = self.member(target, holder, target.attr, False)
        else:
            function = self.shape(target)
        args, kwargs, known = self._arguments(node)
        if not function.known:
            # Data is never called: what an unknown value may have is a method.
            if not isinstance(target, nodes.Getattr) or target.attr in _METHODS:
                return ANY
            message = f'"{target.attr}" is a value, and cannot be called'
            self.report(node, "unsafe-template", message, GUIDE, target.attr)
            return ANY
        name = target.attr if isinstance(target, nodes.Getattr) else getattr(target, "name", "it")
        if not callable(function.sample) or not self.environment.is_safe_callable(function.sample):
            message = f'"{name}" cannot be called in a template'
            self.report(node, "unsafe-template", message, GUIDE, name)
            return ANY
        return self._applied(node, name, function.sample, args, kwargs, known, exact=False)

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
            if known:
                self._binds(node, self.environment.filters[node.name], given, args, kwargs)
            return self._made(node.name)

        def call(*values: Any, **named: Any) -> Any:
            return self.environment.call_filter(
                node.name, values[0], values[1:], named, context=self._context
            )

        exact = given.exact
        made = self._applied(node, node.name, call, [given, *args], kwargs, known, exact=exact)
        return made if made.known else self._made(node.name)

    def _made(self, filter_name: str) -> Shape:
        """Return what a filter gives, whatever it is given."""
        made = self.environment.makes.get(filter_name)
        return _MAKES.get(filter_name, ANY) if made is None else Shape(made)

    def _of_Test(self, node: nodes.Test) -> Shape:
        lenient = node.name in _LENIENT_TESTS
        given = self.shape(node.node, lenient=lenient)
        args, kwargs, known = self._arguments(node)
        if not self._exists(node, "test", node.name, self.environment.tests):
            return BOOLEAN
        if lenient:
            is_none = node.name == "none" and given.exact and given.members is None
            return Shape(given.sample is None, exact=True) if is_none else BOOLEAN

        def call(*values: Any, **named: Any) -> Any:
            return self.environment.call_test(
                node.name, values[0], values[1:], named, context=self._context
            )

        if given.known and given.members is None:
            made = self._applied(
                node, node.name, call, [given, *args], kwargs, known, exact=given.exact
            )
            return made if made.exact else BOOLEAN
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
        # Jinja wraps some, `list` for one, in functions that are given the environment as well.
        own = inspect.unwrap(function)
        try:
            signature = inspect.signature(own)
        except (TypeError, ValueError):
            return
        before = 1 if getattr(own, "jinja_pass_arg", None) is not None else 0
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
        exact = exact and all_exact
        return of_value(made) if exact else like(made)

    def _wrong(self, node: nodes.Node, name: str, cause: str) -> None:
        message = f'"{name}" cannot be used like this: {cause}'
        self.report(node, "wrong-type", message, GUIDE, name)
