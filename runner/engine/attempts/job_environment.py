"""Environment variables that hold while one job runs."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from headrace.errors import JobFailure
from headrace.observe.redaction import reveal
from headrace.store.sessions import JobSessions

_NOTHING = nullcontext()


def environment(
    env: Mapping[str, str] | None, sessions: JobSessions
) -> AbstractContextManager[None]:
    """Return a block in which `env` holds; the environment is as it was after it.

    References are resolved on entering, against the environment of the worker. Connections to
    other databases are the block's own where PostgreSQL's client reads one of the variables.

    Raises:
        JobFailure: a reference names a variable that is not set; nothing was changed.
    """
    return _changed(env, sessions) if env else _NOTHING


@contextmanager
def _changed(env: Mapping[str, str], sessions: JobSessions) -> Iterator[None]:
    # All of them first: none may see another's value, and none is set where one has no value.
    values = {name: _revealed(name, text) for name, text in env.items()}
    before = dict(os.environ)
    try:
        os.environ.update(values)
        _note_zone(values)
        with sessions.renewed(any(name.startswith("PG") for name in values)):
            yield
    finally:
        # The whole of it: the job may have changed others. Another job comes to this process.
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
        _note_zone(values)


def _revealed(name: str, text: str) -> str:
    try:
        return reveal(text)
    except JobFailure as error:
        raise JobFailure(f"env.{name}: {error}") from None


def _note_zone(values: Mapping[str, str]) -> None:
    if "TZ" in values:
        # The C library reads it once; `time.localtime` would stay on the old clock.
        time.tzset()
