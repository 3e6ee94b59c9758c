"""The text of a log record, whatever its arguments are."""

import logging


def said(record: logging.LogRecord, *, with_traceback: bool = False) -> str:
    """Return what a record says. Arguments that do not fit its text are told, not raised.

    Raises:
        Nothing: a line that cannot be put together must not end what is told of.
    """
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - a user's text, and the `__str__` of any object
        text = f"{_shown(record.msg)} {_shown(record.args)} [{type(error).__name__}: {error}]"
    if with_traceback and record.exc_info:
        text += "\n" + logging.Formatter().formatException(record.exc_info)
    return text


def _shown(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception:  # noqa: BLE001 - see above
        return f"<{type(value).__name__}>"
