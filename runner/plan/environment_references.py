"""Rendering texts in which `${NAME}` names a variable of the worker's environment.

Only what the file's author wrote is a reference. What a template brings in, a parameter's
value for example, is data: a `${` in it is written with two dollars and stays text, so that
whoever starts a run cannot read the worker's environment.
"""

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from headrace.errors import TemplateError
from headrace.observe.redaction import REFERENCE
from headrace.plan.deferred_values import at_place
from headrace.template.sql_literals import render_piece

Render = Callable[[Any, Mapping[str, Any]], Any]


class Keys(NamedTuple):
    """The keys of a job's `with` that are templates of its own, and those with references.

    `in_sql` are the paths of texts that are parts of SQL: `filter`; `checks.query` is the key
    `query` anywhere below `checks`, `where.*` any key there.
    """

    verbatim: frozenset[str]
    referring: frozenset[str]
    in_sql: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *and_job: Any) -> "Keys":
        """Return the keys of a job, from what gives each kind of them by the job's name."""
        *kinds, job = and_job
        return cls(*(frozenset(names(job)) for names in kinds))

    def render_of(self, path: Sequence[str], render: Render) -> Render:
        """Return what renders the text that keys lead to, the first one of `with`."""
        first, last = path[0], path[-1]
        named = first if len(path) == 1 else f"{first}.{last}"
        if named in self.in_sql or (len(path) > 1 and f"{first}.*" in self.in_sql):
            return render_piece
        return keeping_references(render) if first in self.referring else render


def no_keys(_job: str) -> Collection[str]:
    """Return the keys of `with` whose texts are rendered in a way of their own: by default none."""
    return ()


# Stands for a reference while the text around it is rendered. Nobody can write one into a
# parameter: the number is drawn anew in each process.
_NUMBER = secrets.token_hex(8)
_MARK = re.compile(rf"\ue000{_NUMBER}:(\d+)\ue001")


def keeping_references(render: Render) -> Render:
    """Return what renders a text as `render` does and keeps its own references."""

    def rendered(value: Any, variables: Mapping[str, Any]) -> Any:
        if not isinstance(value, str):
            return render(value, variables)
        found: list[str] = []

        def marked(match: re.Match[str]) -> str:
            found.append(match[0])
            return f"\ue000{_NUMBER}:{len(found) - 1}\ue001"

        return _restored(render(REFERENCE.sub(marked, value), variables), found)

    return rendered


def _restored(value: Any, found: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _restored(item, found) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_restored(item, found) for item in value]
    if not isinstance(value, str):
        return value
    disarmed = value.replace("${", "$${")
    if re.search(rf"\${_MARK.pattern}", disarmed):
        raise TemplateError("a value that ends with $ cannot be directly before a ${NAME}")
    whole = _MARK.sub(lambda match: found[int(match[1])], disarmed)
    if found and ("\ue000" in whole or "\ue001" in whole):
        raise TemplateError("a filter changes a ${NAME}, which has no value before the job runs")
    return whole


def as_variables(render: Render) -> Render:
    """Return what renders a text as an environment variable holds it, its references kept.

    Numbers become their digits, true and false these words, dates are ISO 8601. What it returns
    raises a TemplateError for a list, a mapping or nothing, and for what no variable can hold.
    """
    kept = keeping_references(render)
    return lambda value, variables: _as_text(kept(value, variables))


def render_late_env(
    env: Mapping[str, str],
    variables: Mapping[str, Any],
    render: Render,
    late: Callable[[str], bool],
) -> dict[str, str]:
    """Return a late job's variables, those of which `late` is true being rendered.

    Raises:
        TemplateError: a value cannot be rendered; the message begins with its key.
    """
    rendered = as_variables(render)
    done: dict[str, str] = {}
    for name, text in env.items():
        with at_place(f"env.{name}"):
            done[name] = rendered(text, variables) if late(text) else text
    return done


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return str(value)
    if not isinstance(value, str):
        kind = "null" if value is None else f"a {type(value).__name__}"
        raise TemplateError(f"an environment variable contains text, not {kind}")
    return value
