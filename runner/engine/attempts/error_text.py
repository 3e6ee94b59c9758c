"""Words of an exception for its row: type, text and causes."""

import traceback
from collections.abc import Iterator

from headrace.errors import HeadraceError
from headrace.errors.shortened import shortened
from headrace.model.storable import fitted
from headrace.observe.redaction import redacted
from headrace.store.sql_errors import told_error, without_link
from headrace.template.written import place_of

MOST_ERROR = 4000
MOST_TRACEBACK = 20_000
_MOST_CAUSES = 5


def text_of(error: BaseException) -> str:
    """Return an error as a row shows it: `KeyError: 'missing'`, then what caused it."""
    lines = [_line(one) for one in _with_causes(error)]
    text = "\ncaused by ".join(line for line in dict.fromkeys(lines) if line)
    # What the sessions have found out: who holds a lock, what a role has to be granted.
    notes = [str(note) for one in _with_causes(error) for note in getattr(one, "__notes__", ())]
    text = "\n".join([text, *dict.fromkeys(notes)])
    # Redacted before it is cut: half a secret is one, too.
    return fitted(shortened(redacted(text), MOST_ERROR))


def plain_text(error: BaseException) -> str:
    """Return an exception's own text, empty where it has none; `__str__` may raise, too."""
    try:
        return without_link(str(error))
    except Exception as broken:  # noqa: BLE001 - a user's class may do anything in it
        return f"(its text cannot be shown: {type(broken).__name__})"


def frames(error: BaseException) -> str:
    """Return an error's traceback, the end of it where it is long."""
    text = redacted(without_link("".join(traceback.format_exception(error))))
    return fitted(text if len(text) <= MOST_TRACEBACK else f"…{text[1 - MOST_TRACEBACK :]}")


def _line(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return _left(error)
    of_the_server = told_error(error, place_of)
    if of_the_server is not None:
        return of_the_server
    text = plain_text(error)
    if isinstance(error, HeadraceError):
        return text or type(error).__name__
    driver = getattr(error, "orig", None)
    if isinstance(driver, BaseException):
        return f"{type(driver).__name__}: {plain_text(driver).strip()}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _left(error: SystemExit) -> str:
    code = "" if error.code is None else repr(error.code)
    return (
        f"SystemExit: the job called sys.exit({code}); a job ends by returning from handle(),"
        " and fails by raising JobFailure"
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of, as a traceback tells it; the driver's is part of one."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(one))
        yield one
        driver = getattr(one, "orig", None)
        if isinstance(driver, BaseException):
            seen.add(id(driver))
            cause = one.__cause__ if one.__cause__ is not driver else driver.__cause__
        else:
            cause = one.__cause__
        if cause is None and not one.__suppress_context__:
            cause = one.__context__
        one = None if cause is driver else cause
