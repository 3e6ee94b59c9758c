"""Turns an SQL template into SQL with placeholders, without rendering it.

What can be said of the text between the braces (where a value stands, which statements there
are) is said of this. Each loop runs once; `{% if %}` takes its first branch, or its last.
"""

from collections.abc import Iterator

from jinja2 import TemplateSyntaxError, nodes

from headrace.template.rendered import marker
from headrace.template.syntax import is_plain, tree_of

# What filters write into the text itself.
_WRITTEN = {
    "identifier": '"headrace_unknown"',
    "identifiers": '"headrace_unknown"',
    "name": '"headrace_unknown"',
    "names": '"headrace_unknown"',
    "column_type": "text",
    "order": "ASC",
}
# What a name is replaced by where the statement is to be read by a parser.
UNKNOWN = "headrace_unknown"


class Skeleton:
    """SQL with a marker for each value, and the template's line of each of its characters."""

    def __init__(self, template: str, *, last_branch: bool = False) -> None:
        """Raises TemplateSyntaxError where it is no template."""
        self._last = last_branch
        self._parts: list[str] = []
        self._lines: list[tuple[int, int]] = []
        self._length = 0
        self._macros: dict[str, nodes.Macro] = {}
        self._depth = 0
        if not is_plain(template):
            self._add_all(tree_of(template).body)
        elif template:
            self._add(template, 1)

    @property
    def marked(self) -> str:
        """The SQL, a marker in the place of each value."""
        return "".join(self._parts)

    def line_at(self, offset: int) -> int:
        """Return the line of the template that a character of `marked` comes from."""
        start, line = 0, 1
        for begins, at in self._lines:
            if begins > offset:
                break
            start, line = begins, at
        return line + self.marked.count("\n", start, offset)

    def _add(self, text: str, line: int) -> None:
        self._lines.append((self._length, line))
        self._parts.append(text)
        self._length += len(text)

    def _add_all(self, body: list[nodes.Node]) -> None:
        for node in body:
            if isinstance(node, nodes.Output):
                for child in node.nodes:
                    self._add_output(child)
            elif isinstance(node, nodes.If):
                self._add_all(_branch(node, last=self._last))
            elif isinstance(node, nodes.For | nodes.With):
                self._add_all(list(node.body))
            elif isinstance(node, nodes.Macro):
                self._macros[node.name] = node

    def _add_output(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.TemplateData):
            self._add(node.data, node.lineno)
        elif isinstance(node, nodes.Filter) and node.name in _WRITTEN:
            self._add(_WRITTEN[node.name], node.lineno)
        elif isinstance(node, nodes.Filter) and node.name == "inlist":
            self._add(f"({marker('p1')})", node.lineno)
        elif isinstance(node, nodes.Call) and _name_of(node) in self._macros:
            self._add_macro(self._macros[_name_of(node)])
        else:
            self._add(marker("p1"), node.lineno)

    def _add_macro(self, macro: nodes.Macro) -> None:
        if self._depth < 8:  # Macros may call each other.
            self._depth += 1
            self._add_all(list(macro.body))
            self._depth -= 1


def skeletons(template: str) -> Iterator[Skeleton]:
    """Yield the SQL of a template: with the first branch of each condition, and the last.

    Nothing where it is no template.
    """
    try:
        yield Skeleton(template)
        if "{%" in template:
            yield Skeleton(template, last_branch=True)
    except (TemplateSyntaxError, RecursionError):
        return


def sql_for_parsers(template: str) -> str:
    """Return the SQL with a name in the place of each value, so that a parser can read it."""
    for skeleton in skeletons(template):
        return skeleton.marked.replace(marker("p1"), UNKNOWN).replace(f'"{UNKNOWN}"', UNKNOWN)
    return template


def _branch(node: nodes.If, *, last: bool) -> list[nodes.Node]:
    if not last:
        return list(node.body)
    if node.else_:
        return list(node.else_)
    return list(node.elif_[-1].body) if node.elif_ else []


def _name_of(node: nodes.Call) -> str:
    return node.node.name if isinstance(node.node, nodes.Name) else ""
