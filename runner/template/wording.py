"""Words expressions and types for the messages about templates."""

from jinja2 import nodes

from headrace.template.failures import GUIDE
from headrace.template.shapes import Shape


def called(node: nodes.Node, shape: Shape) -> str:
    """Return how messages name a value."""
    return shape.name or said(node)


def said(node: nodes.Node) -> str:
    """Return an expression about as it is written."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Const):
        return repr(node.value)
    if isinstance(node, nodes.Getattr):
        return f"{said(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem):
        return f"{said(node.node)}[{said(node.arg)}]"
    if isinstance(node, nodes.Filter) and node.node is not None:
        return f"{said(node.node)} | {node.name}"
    if isinstance(node, nodes.Call):
        return f"{said(node.node)}(…)"
    return "…"


def remedy(left: Shape, right: Shape) -> str:
    """Return what to do where two types do not go together."""
    kinds = {left.kind, right.kind}
    if kinds in ({"a date", "a text"}, {"a time", "a text"}):
        return "convert the text to a date: … | date, or … | datetime"
    if kinds == {"a date", "a time"}:
        return "take the day of the time: … | date"
    if kinds == {"a number", "a text"}:
        return "convert the text to a number: … | int, or … | float; write a number without quotes"
    return GUIDE
