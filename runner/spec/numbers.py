"""Numbers that would not stay what the file says: `1.50` in a text, digits that no float keeps."""

import math
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal, InvalidOperation

from runner.spec.draft import Draft, Finding
from runner.spec.expansion import Expansion


def numbers_stay_as_written(expansion: Expansion, draft: Draft) -> Iterator[Finding]:
    """A number that a job takes for a text is spelt as in the file, and none loses digits."""
    catalogue = draft.catalogue
    as_text = set(_arguments(draft, catalogue.kept_as_text))
    with_digits = set(_arguments(draft, catalogue.kept_digits))
    for path, value in draft.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        node = expansion.node_at(path)
        if node is None or not node.text or node.data != value:
            continue
        if any(path[:end] in as_text for end in range(3, len(path) + 1)):
            if str(value) != node.text:
                message = f"the number {node.text} would be given as the text {value}"
                yield Finding(path, "changed-number", message, f'quote it: "{node.text}"')
        elif any(path[:end] in with_digits for end in range(3, len(path) + 1)):
            continue
        elif isinstance(value, float) and _loses_digits(node.text, value):
            message = f"the number {node.text} has more digits than are kept: it becomes {value!r}"
            yield Finding(path, "changed-number", message, f'quote it: "{node.text}"')


def _arguments(
    draft: Draft, of_job: Callable[[str], Collection[str]]
) -> list[tuple[str | int, ...]]:
    return [
        (*step.path, "with", key)
        for step in draft.all_steps
        if (job := step.text("job")) and step.with_
        for key in of_job(job)
    ]


def _loses_digits(text: str, value: float) -> bool:
    if not math.isfinite(value):
        return False  # Told by a rule of its own.
    try:
        return Decimal(text) != Decimal(repr(value))
    except InvalidOperation:
        return False
