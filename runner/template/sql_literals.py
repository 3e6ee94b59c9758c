"""Renders a piece of SQL that is part of a pipeline's values: `filter: "day = {{ run.date }}"`.

Each value becomes a literal, quoted as PostgreSQL reads it, so that no value becomes SQL. The piece
is then a text as any other: it can wait for results of other steps, or be one of a foreach's.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from headrace.model import exact_json
from headrace.template.braces import has_template
from headrace.template.sql import render

# A quoted value, as people write it out of habit: the quotes are the literal's own.
_QUOTED = re.compile(r"'(\{\{)-?((?:[^{}'\"]|\"[^\"{}]*\")+?)-?(\}\})'")


def render_piece(text: Any, variables: Mapping[str, Any], *, name: str = "sql") -> Any:
    """Return a piece of SQL with its values written out; what is no text stays as it is.

    `'{{ value }}'` is a text, `{{ value }}` a literal of the value's type.

    Raises:
        TemplateError: the template is malformed, names something undefined, or is too costly.
        RefusedSql: a value stands where none can, as in a comment or in the midst of a text.
    """
    if not isinstance(text, str) or not has_template(text):
        return text
    rendered = render(_QUOTED.sub(r'\1 (\2) ~ "" \3', text), variables, name=name)
    around, values = rendered.pieces()
    pairs = zip_longest(around, map(literal, values), fillvalue="")
    return "".join(piece for pair in pairs for piece in pair)


def literal(value: Any) -> str:
    """Return a value as SQL writes it; the session's `standard_conforming_strings` is on."""
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "true", False: "false"}[value]
    if isinstance(value, int | float | Decimal):
        return f"({value})" if value < 0 else f"{value}"
    if isinstance(value, date | time):
        return f"{_type_of(value)} {_text(value.isoformat())}"
    if isinstance(value, timedelta):
        return f"interval {_text(f'{value.total_seconds()} seconds')}"
    if isinstance(value, Mapping):
        return _text(exact_json.dumps(value, default=str))
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        items = [literal(item) for item in value]
        return f"ARRAY[{', '.join(items)}]" if items else "'{}'"
    return _text(str(value))


def _type_of(value: date | time) -> str:
    if isinstance(value, datetime):
        return "timestamptz" if value.tzinfo else "timestamp"
    return "date" if isinstance(value, date) else "time"


def _text(value: str) -> str:
    escaped = value.replace("'", "''")
    return f"'{escaped}'"
