"""What a job says while it runs, kept for its row."""

import logging
from typing import Any

from runner.secrecy import redacted

JOB_LOGGER = "headrace.job"
_MOST_LINES = 1000
_MOST_CHARACTERS = 4000


def storable(text: str) -> str:
    """Return text as PostgreSQL can hold it: it has no place for NUL or half a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class JobLog(logging.Handler):
    """Collects the lines of the attempt at hand. One a process."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._lines: list[dict[str, Any]] = []
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record's line."""
        if len(self._lines) >= _MOST_LINES:
            self._dropped += 1
            return
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        message = redacted(message)
        self._lines.append(
            {
                "line": len(self._lines) + 1,
                "at": record.created,
                "level": record.levelname.lower(),
                "message": storable(message[:_MOST_CHARACTERS]),
            }
        )

    @property
    def said(self) -> bool:
        """Whether there are lines that nobody has taken yet."""
        return bool(self._lines)

    def take(self) -> list[dict[str, Any]]:
        """Return the lines since the last call; the last one tells of lines left out."""
        lines, dropped = self._lines, self._dropped
        self._lines, self._dropped = [], 0
        if dropped:
            lines.append(
                {
                    **lines[-1],
                    "line": len(lines) + 1,
                    "message": f"{dropped} further lines were left out",
                }
            )
        return lines
