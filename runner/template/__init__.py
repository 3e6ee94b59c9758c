"""Sandboxed Jinja for SQL and for values: values are bound, identifiers quoted."""

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
