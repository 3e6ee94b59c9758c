"""Turns whatever goes wrong in a template into one error with its place."""

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


class told_with_place:  # noqa: N801 - read as what goes on in the block
    """A block that raises TemplateError (or RefusedSql), `name:line: cause`, for any other error.

    With `braces` the text may hold some that are its own, as SQL does.

    Raises:
        TemplateError: the template is malformed, or its evaluation fails.
        RefusedSql: it asks for something that SQL may not contain.
    """

    def __init__(self, name: str, *, braces: bool = False) -> None:
        self._name, self._braces = name, braces

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Raise what is to be told; what ends the process goes on as it is."""
        if not isinstance(error, Exception):
            return
        told = self._told(error)
        known = isinstance(error, HeadraceError | jinja2.TemplateError | RecursionError)
        raise told from (None if known else error)

    def _told(self, error: Exception) -> HeadraceError:
        name = self._name
        match error:
            case jinja2.TemplateSyntaxError():
                hint = _OWN_BRACES if self._braces else ""
                return TemplateError(f"{name}:{error.lineno}: {_hinted(error.message or '')}{hint}")
            case jinja2.TemplateError():
                return TemplateError(f"{_place(name, error)}: {_hinted(error.message or '')}")
            case RefusedSql():
                return RefusedSql(f"{_place(name, error)}: {error}")
            case HeadraceError():
                return TemplateError(f"{_place(name, error)}: {error}")
            case RecursionError():
                cause = "it is nested too deeply, or its macros call each other endlessly"
                return TemplateError(f"{name}: {cause}")
            case _:
                cause = f"{type(error).__name__}: {error}"
                return TemplateError(f"{_place(name, error)}: {cause}")


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
