"""Turns whatever goes wrong in a template into one error with its place."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import jinja2

from headrace.errors import HeadraceError, RefusedSql, TemplateError

GUIDE = "docs/reference/templates.md lists what templates may use"

_HINTS = {
    "No filter named": f"{GUIDE}; values are bound, not escaped",
    "No test named": GUIDE,
    "unexpected char": "inside {{ }} only an expression is allowed",
}
_OWN_BRACES = (
    " (where {{, {% or {# is the SQL's own, as in '{{1,2},{3,4}}' or LIKE '{%', write it between"
    " {% raw %} and {% endraw %})"
)


@contextmanager
def told_with_place(name: str, *, braces: bool = False) -> Iterator[None]:
    """Raise TemplateError (or RefusedSql) as `name:line: cause` in place of any other error.

    With `braces` the text may hold some that are its own, as SQL does.

    Raises:
        TemplateError: the template is malformed, or its evaluation fails.
        RefusedSql: it asks for something that SQL may not contain.
    """
    try:
        yield
    except jinja2.TemplateSyntaxError as error:
        told = _hinted(error.message or "")
        hint = _OWN_BRACES if braces else ""
        raise TemplateError(f"{name}:{error.lineno}: {told}{hint}") from None
    except (jinja2.UndefinedError, jinja2.TemplateError) as error:
        raise TemplateError(f"{_place(name, error)}: {_hinted(error.message or '')}") from None
    except RefusedSql as error:
        raise RefusedSql(f"{_place(name, error)}: {error}") from None
    except HeadraceError as error:
        raise TemplateError(f"{_place(name, error)}: {error}") from None
    except RecursionError:
        raise TemplateError(
            f"{name}: it is nested too deeply, or its macros call each other endlessly"
        ) from None
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise TemplateError(f"{_place(name, error)}: {cause}") from error


def _place(name: str, error: BaseException) -> str:
    line = _line(name, error.__traceback__)
    return name if line is None else f"{name}:{line}"


def _line(name: str, trace: TracebackType | None) -> int | None:
    """Return the template line of the innermost frame. Jinja rewrites tracebacks so."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


def _hinted(message: str) -> str:
    for beginning, hint in _HINTS.items():
        if message.startswith(beginning):
            return f"{message} ({hint})"
    return message
