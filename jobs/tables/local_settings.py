"""Settings of a session that hold for a part of the job's transaction."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@contextmanager
def set_locally(session: "Session", *settings: tuple[str, str]) -> Iterator[None]:
    """Give these settings their values within the block, and set them back as it ends.

    Where it ends in an error they go with the transaction. On the driver's own cursor: the
    statements are ours, and leave nothing in the session.
    """
    before = [(name, _shown(session, name)) for name, _ in settings]
    _set(session, settings)
    yield
    _set(session, before)


@contextmanager
def enough_work_memory(session: "Session") -> Iterator[None]:
    """Let joins of whole tables within the block have 64 MB, where the session's is less."""
    with closing(session.connection().connection.cursor()) as cursor:
        cursor.execute("SELECT pg_size_bytes(current_setting('work_mem')) < 64 * 1024 * 1024")
        ((is_less,),) = cursor.fetchall()
    with set_locally(session, *([("work_mem", "64MB")] if is_less else [])):
        yield


def _shown(session: "Session", name: str) -> str:
    with closing(session.connection().connection.cursor()) as cursor:
        cursor.execute(f"SHOW {name}")
        ((value,),) = cursor.fetchall()
    return str(value)


def _set(session: "Session", settings: Sequence[tuple[str, str]]) -> None:
    with closing(session.connection().connection.cursor()) as cursor:
        for name, value in settings:
            escaped = value.replace("'", "''")
            cursor.execute(f"SET LOCAL {name} = '{escaped}'")
