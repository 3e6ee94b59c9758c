"""Numbers that would not stay what the file says: `1.50` in a text, digits that no float keeps."""

import math
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from headrace.declarations.draft import Draft, DraftStep, Finding
from headrace.declarations.rules.template_names import item_name
from headrace.declarations.source import KeyPath
from headrace.declarations.step_templates.expanded_steps import Expansion
from headrace.declarations.template_references import is_template, references, scalars
from headrace.template.printed import is_text, printed
from headrace.template.syntax import Chain

_Number = tuple[KeyPath, int | float, str]


def numbers_stay_as_written(expansion: Expansion, draft: Draft) -> Iterator[Finding]:
    """A number that becomes a text is spelt as in the file, and none loses digits."""
    numbers = list(_numbers(expansion, draft))
    exact = set(_arguments(draft, draft.catalogue.kept_digits))
    respelt = {path for path, value, text in numbers if str(value) != text}
    as_text = set(_arguments(draft, draft.catalogue.kept_as_text)) if respelt else set()
    if any(path[0] == "params" or "foreach" in path for path in respelt):
        as_text |= set(_handed_to_texts(draft))
    for path, value, text in numbers:
        if path in respelt and any(path[:end] in as_text for end in range(3, len(path) + 1)):
            message = f"the number {text} would become the text {value}"
            yield Finding(path, "changed-number", message, _remedy(draft, path, text))
        elif any(path[:end] in exact for end in range(3, len(path) + 1)):
            continue  # All digits that are written arrive.
        elif isinstance(value, float) and _loses_digits(text, value):
            message = f"the number {text} has more digits than are kept: it becomes {value!r}"
            yield Finding(path, "changed-number", message, f'quote it: "{text}"')


def _numbers(expansion: Expansion, draft: Draft) -> Iterator[_Number]:
    """Yield the numbers that jobs are given, each with what the file says."""
    for path, value in draft.values():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        node = expansion.node_at(path)
        if node is not None and node.text and node.data == value:
            yield path, value, node.text


def _remedy(draft: Draft, path: KeyPath, text: str) -> str:
    param = draft.mapping("params").get(str(path[1])) if path[0] == "params" else None
    if isinstance(param, dict) and param.get("type") in ("number", "integer"):
        return f'declare it as a text: {{type: string, default: "{text}"}}'
    return f'quote it: "{text}"'


def _arguments(draft: Draft, of_job: Callable[[str], Collection[str]]) -> Iterator[KeyPath]:
    """Yield where the arguments stand that are named for a step's job."""
    for step in draft.all_steps:
        job = step.text("job")
        if job and step.with_:
            for key in of_job(job):
                yield (*step.path, "with", key)


def _handed_to_texts(draft: Draft) -> Iterator[KeyPath]:
    """Yield the defaults and items that templates write into texts."""
    for _path, text in scalars(draft.mapping("defaults").get("env"), ()):
        for chain in printed(text) if is_template(text) else ():
            yield from _default_at(draft, chain)
    for step in draft.all_steps:
        for chain in _written_by(draft, step):
            yield from _default_at(draft, chain)
            yield from _items_at(draft, step, chain)


def _written_by(draft: Draft, step: DraftStep) -> Iterator[Chain]:
    """Yield what the values of a step write out as text."""
    job = step.text("job")
    texts = draft.catalogue.kept_as_text(job) if job else ()
    for (head, *_), value in scalars(dict(step.with_), ()):
        # SQL binds its values: none is spelt there.
        if is_template(value) and head != "sql" and (head in texts or is_text(value)):
            yield from printed(value)
    for _path, value in scalars(dict(step.env), ()):
        if is_template(value):
            yield from printed(value)


def _default_at(draft: Draft, chain: Chain) -> Iterator[KeyPath]:
    if chain[0] == "params" and len(chain) > 1 and chain[1] in draft.mapping("params"):
        yield ("params", chain[1], "default", *chain[2:])


def _items_at(draft: Draft, step: DraftStep, chain: Chain) -> Iterator[KeyPath]:
    """Yield the parts of a step's items that a path from the item leads to."""
    foreach = step.data.get("foreach")
    if not isinstance(foreach, dict) or chain[0] != item_name(foreach):
        return
    items: Any = foreach.get("items")
    at: KeyPath = (*step.path, "foreach", "items")
    if is_template(items):
        named = references(items).params
        if len(named) != 1 or is_text(items):
            return
        (name,) = named
        at = ("params", name, "default")
        param = draft.mapping("params").get(name)
        items = param.get("default") if isinstance(param, dict) else None
    for index in range(len(items)) if isinstance(items, list) else ():
        yield (*at, index, *chain[1:])


def _loses_digits(text: str, value: float) -> bool:
    if not math.isfinite(value):
        return False  # Told by a rule of its own.
    try:
        return Decimal(text) != Decimal(repr(value))
    except InvalidOperation:
        return True  # `1e-99999999999999999999`: it becomes zero.
