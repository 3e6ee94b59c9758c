"""Say in plain words what is wrong with a text that is not YAML."""

import re
from typing import Any

import yaml

from headrace.errors import Problem

# Part of the parser's message → what it means for the writer, and what to do.
_WORDING = (
    (
        "mapping values are not allowed",
        "a second `: ` on one line, or a line indented too deep",
        'quote a value that contains ": ", and align the key with its neighbours',
    ),
    (
        "did not find expected key",
        "this line does not fit the indentation of the mapping above it",
        "align it with the keys to which it belongs; check the line above, too",
    ),
    (
        "did not find expected '-' indicator",
        "this line does not fit the indentation of the list above it",
        "begin each item of the list with `- ` in the same column",
    ),
    (
        "did not find expected ',' or ']'",
        "a list in brackets is not closed or lacks a comma",
        "end the list with ] and separate its items by commas",
    ),
    (
        "did not find expected ',' or '}'",
        "a mapping in braces is not closed or lacks a comma",
        "end the mapping with } and separate its keys by commas",
    ),
    (
        "block sequence entries are not allowed",
        "a list item cannot begin here",
        "begin the list on a line of its own, below its key",
    ),
    (
        "did not find expected <document start>",
        "this does not belong to anything above it",
        "a file is one mapping: check the indentation here and quotes and brackets above",
    ),
    (
        "did not find expected node content",
        "a value is expected here",
        "write a value, or put quotes around one that begins with a special character",
    ),
    (
        "mapping keys are not allowed",
        "`? ` cannot begin a key here",
        "write `key: value`, and quote a text that begins with ?",
    ),
    (
        "directive",
        "a line that begins with % is a YAML directive",
        "quote the text, or remove the line",
    ),
    ("could not find expected ':'", "a key without `:`", "write `key: value`"),
    (
        "found unknown escape character",
        "an unknown escape in double quotes",
        "use single quotes, or write \\\\ for a backslash",
    ),
    (
        "did not find expected alphabetic or numeric character",
        "an unquoted value cannot begin with * or &",
        'quote it, as in "*/15 * * * *"',
    ),
    (
        "did not find expected hexdecimal number",
        "an escape in double quotes has no digits",
        "use single quotes, or write \\\\ for a backslash",
    ),
)
_LOOK = "compare this line and the one above it with a file that is valid"
_TOO_DEEP = "exceeded maximum nesting depth"
_CANNOT_START = "found character that cannot start any token"
_UNCLOSED = ("found unexpected end of stream", "found unexpected document indicator")
_INDENT = re.compile(r" *\t[ \t]*(?=[^ \t#]|$)")
_BARE_TEMPLATE = re.compile(r"(?:^|[:\-,\[] *)\{\{")


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Return the problem that a parser's error stands for."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(file, 1, 1, "yaml-syntax", "this is not valid YAML", _LOOK)
    fault = error.problem or ""
    mark: Any = error.problem_mark or error.context_mark
    if fault in _UNCLOSED and error.context_mark is not None:
        mark = error.context_mark
    line = mark.line if mark else 0
    column = mark.column if mark else 0
    lines = text.splitlines() or [""]
    found = _tab(lines, line, file)
    if found is not None:
        return found
    if fault == _TOO_DEEP:
        return Problem(
            file, line + 1, column + 1, "too-deep", "values are nested too deep", "nest less"
        )
    message, hint = _worded(fault, error.context or "", lines, line, column)
    return Problem(file, line + 1, column + 1, "yaml-syntax", message, hint)


def _tab(lines: list[str], line: int, file: str) -> Problem | None:
    """Return the problem of a tab that indents the faulty line or the one before it."""
    for number in (line, line - 1):
        if 0 <= number < len(lines) and (indent := _INDENT.match(lines[number])):
            column = indent.group().index("\t")
            message = "a tab indents this line"
            hint = "YAML allows only spaces there: replace each tab by two spaces"
            return Problem(file, number + 1, column + 1, "tab-indentation", message, hint)
    return None


def _worded(fault: str, context: str, lines: list[str], line: int, column: int) -> tuple[str, str]:
    source = lines[line] if 0 <= line < len(lines) else ""
    if _BARE_TEMPLATE.search(source):
        hint = 'put the whole value in quotes, as in "{{ params.day }}/orders.csv"'
        return "`{{` starts a YAML mapping unless it is quoted", hint
    if fault == _CANNOT_START and column < len(source):
        return f"an unquoted value cannot begin with {source[column]}", "put the value in quotes"
    if fault in _UNCLOSED:
        return "a quoted value is not closed", "end it with the quote with which it begins"
    for part, message, hint in _WORDING:
        if part in fault:
            return message, hint
    return f"this is not valid YAML: {context + ', ' if context else ''}{fault}", _LOOK
