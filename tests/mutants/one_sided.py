"""Lists conditions of which the tests may never have seen one side alone.

Every test that executes such an `if` executes its body, too. In a loop one test may well see both
sides; elsewhere no test would notice if the condition were always true. Worth a reader's look.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.mutants.line_map import LineMap
from tests.mutants.sources import Sources


def one_sided(sources: Sources, path: Path) -> Iterator[tuple[int, str]]:
    """Yield how many tests execute each, and where it is, those of few tests first."""
    conditions = [one for name in sources.paths for one in _conditions(sources, name)]
    reached, with_body = [0] * len(conditions), [0] * len(conditions)
    with LineMap(path) as kept:
        for test, marks in kept.marks():
            if not test:
                continue
            for number, (_, condition, body) in enumerate(conditions):
                reached[number] += bool(marks[condition])
                with_body[number] += bool(marks[condition] and marks[body])
    yield from sorted(
        (reached[number], place)
        for number, (place, _, _) in enumerate(conditions)
        if 0 < reached[number] == with_body[number]
    )


def _conditions(sources: Sources, path: str) -> Iterator[tuple[str, int, int]]:
    """Yield the conditions without an `else` of a file: as text, and the places in the marks."""
    if not path.endswith(".py"):
        return
    text = sources.text(path)
    lines, first = text.splitlines(), sources.first[path] - 1
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.If) and not node.orelse and node.body[0].lineno > node.lineno:
            shown = lines[node.lineno - 1].strip()
            if "TYPE_CHECKING" not in shown:
                place = f"{path}:{node.lineno}: {shown}"
                yield place, first + node.lineno, first + node.body[0].lineno
