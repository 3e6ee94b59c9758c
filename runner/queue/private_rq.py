"""RQ under the installation's prefix, apart from any other RQ in the process.

RQ takes its keys' prefix from the environment when it is first imported, once for the process.
A job may use RQ, too, for queues of its own application: what it imports is another copy, with
whatever prefix its own environment says.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from headrace.queue.keys import Keys

_VARIABLE = "RQ_KEY_PREFIX"
_OURS = f"{__package__}.worker"


def worker_class(keys: Keys) -> Any:
    """Return `WarmWorker` on an RQ whose keys are the installation's.

    Raises:
        RuntimeError: It was imported in this process for another installation.
    """
    if _OURS not in sys.modules:
        with _imported_anew(), _variable(keys.prefix):
            import_module(_OURS)
    module = sys.modules[_OURS]
    if keys.prefix != module.KEY_PREFIX:
        raise RuntimeError(f"this process serves {module.KEY_PREFIX}, not {keys.prefix}")
    return module.WarmWorker


@contextmanager
def _imported_anew() -> Iterator[None]:
    """Import RQ once more, and leave behind what was imported of it before."""
    before = {name: sys.modules.pop(name) for name in _of_rq()}
    try:
        yield
    finally:
        for name in _of_rq():
            del sys.modules[name]
        sys.modules.update(before)


def _of_rq() -> list[str]:
    return [name for name in sys.modules if name == "rq" or name.startswith("rq.")]


@contextmanager
def _variable(prefix: str) -> Iterator[None]:
    # Not longer than it takes: programs that a job starts must not inherit it.
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = prefix
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before
