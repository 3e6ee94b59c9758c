"""Sandboxed Jinja for SQL and for values: values are bound, identifiers quoted."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.template.guard import (
        first_word,
        has_word,
        leaves_session_state,
        makes_table_of_query,
        needs_autocommit,
        refuse_transaction_control,
        split_statements,
        without_comments,
        words_of,
    )
    from headrace.template.identifiers import quote_identifier, quote_name, split_name
    from headrace.template.preview import Preview, SqlSource
    from headrace.template.rendered import RenderedSql
    from headrace.template.sql import render
    from headrace.template.values import evaluate, render_value
    from headrace.template.written import remember_text

__all__ = [
    "Preview",
    "RenderedSql",
    "SqlSource",
    "evaluate",
    "first_word",
    "has_word",
    "leaves_session_state",
    "makes_table_of_query",
    "needs_autocommit",
    "quote_identifier",
    "quote_name",
    "refuse_transaction_control",
    "remember_text",
    "render",
    "render_value",
    "split_name",
    "split_statements",
    "without_comments",
    "words_of",
]

_NAMES = {
    "guard": "first_word has_word leaves_session_state makes_table_of_query needs_autocommit"
    " refuse_transaction_control split_statements without_comments words_of",
    "identifiers": "quote_identifier quote_name split_name",
    "preview": "Preview SqlSource",
    "rendered": "RenderedSql",
    "sql": "render",
    "values": "evaluate render_value",
    "written": "remember_text",
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """Return one of the names above, loaded when it is first asked for: some bring Jinja."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = found
    return found
