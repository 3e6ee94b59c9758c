"""Follows the names and paths of a template with samples of the values that it will see."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from jinja2 import nodes
from jinja2.runtime import Context

from headrace.errors.suggestions import did_you_mean
from headrace.template.failures import GUIDE
from headrace.template.sandbox import DICT_METHODS, BoundedEnvironment
from headrace.template.shapes import ANY, HIDDEN, TEXT, UNKNOWN, Shape, joined
from headrace.template.wording import called

_HOLDERS = (nodes.Getattr, nodes.Getitem)
_PATHS = (nodes.Name, *_HOLDERS)


@lru_cache(maxsize=4)
def _context_of(environment: BoundedEnvironment) -> Context:
    """Return what filters are given that ask for their surroundings."""
    return environment.from_string("").new_context({})


class Expressions(ABC):
    """Gives the shape of each expression, and reports what is wrong with it."""

    def __init__(self, environment: BoundedEnvironment, variables: Mapping[str, Shape]) -> None:
        self.environment = environment
        self.variables = dict(variables)
        self.assigned: set[str] = set()
        self.known = [name for name, shape in variables.items() if shape is not HIDDEN]
        self._context = _context_of(environment)

    @abstractmethod
    def report(self, node: nodes.Node, code: str, message: str, hint: str, word: str) -> None:
        """Keep one mistake."""

    def shape(self, node: nodes.Node, *, lenient: bool = False) -> Shape:
        """Return the shape of an expression; with `lenient` it need not be there."""
        visit: Callable[..., Shape] | None = getattr(self, f"_of_{type(node).__name__}", None)
        if visit is not None:
            return visit(node, lenient) if isinstance(node, _PATHS) else visit(node)
        for child in node.iter_child_nodes():
            self.shape(child)
        return ANY

    def printed(self, node: nodes.Node, shape: Shape) -> None:
        """Look at what is written out."""
        if self.environment.refuses_null and shape.exact and shape.sample is None:
            message = "a null is inside a text"
            self.report(node, "bad-template", message, "remove it, or write a text", "")

    def item_of(self, node: nodes.Node, shape: Shape) -> Shape:
        """Return what a loop over a value goes through."""
        if not shape.known:
            return ANY
        if shape.members is None and not isinstance(shape.sample, Iterable):
            message = f"{called(node, shape)} is {shape.kind}, which cannot be looped over"
            self.report(node, "wrong-type", message, "loop over a list", "")
            return ANY
        if isinstance(shape.sample, str) or shape.members is not None:
            return TEXT
        return shape.item or ANY

    # -- names and paths -----------------------------------------------------------------

    def _of_Const(self, node: nodes.Const) -> Shape:
        return Shape(node.value, exact=True)

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
        return self.member(node, self.shape(node.node, lenient=lenient), node.attr, lenient)

    def _of_Getitem(self, node: nodes.Getitem, lenient: bool) -> Shape:
        holder = self.shape(node.node, lenient=lenient)
        key = self.shape(node.arg)
        if key.exact and isinstance(key.sample, str):
            return self.member(node, holder, key.sample, lenient)
        if isinstance(node.arg, nodes.Slice):
            return Shape(holder.sample, item=holder.item) if holder.known else ANY
        if not holder.known or holder.members is not None or lenient:
            return ANY
        if isinstance(holder.sample, str):
            return TEXT
        if holder.item is None and not isinstance(holder.sample, Mapping | list | tuple):
            message = f"{called(node.node, holder)} is {holder.kind}, which has no entries"
            self.report(node, "wrong-type", message, GUIDE, "")
        return holder.item or ANY

    def member(self, node: nodes.Node, holder: Shape, name: str, lenient: bool) -> Shape:
        if holder.members is not None:
            if name in holder.members:
                return holder.members[name]
            if isinstance(node, nodes.Getattr) and name in DICT_METHODS:
                return ANY
            if not lenient and not holder.open:
                self._no_member(node, holder, name, list(holder.members))
            return ANY
        sample = holder.sample
        private = isinstance(node, nodes.Getattr) and name.startswith("__")
        if not private and (sample is UNKNOWN or isinstance(sample, Mapping)):
            return ANY
        if private or not self.environment.is_safe_attribute(sample, name, None):
            why = ': it begins with "_"' if name.startswith("_") else ""
            message = f'"{name}" cannot be used in a template{why}'
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
        told = called(node.node, holder) if isinstance(node, _HOLDERS) else "it"
        if holder.members is None and holder.kind:
            told += f" is {holder.kind} and"
        hyphened = next((one for one in known if one.startswith(f"{name}-")), None)
        hint = did_you_mean(name, known, listed_as="there are") if len(known) <= 40 else ""
        if holder.members is None and "did you mean" not in hint:
            hint = GUIDE
        if hyphened is not None:
            hint = f"a name with a hyphen is written {holder.name or 'NAME'}['{hyphened}']"
        self.report(node, "unknown-name", f'{told} has no "{name}"', hint, name)

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
