"""Connections that a fork inherits, in a job or a program that dispatches: not its to use or end.

Both processes would speak over one socket; a COMMIT of the forked one would be its parent's. What a
fork inherits leads nowhere: whoever uses it gets an error, and no byte is sent. To a pool it is
one that the server has closed: the pool opens another.
"""

import os
from contextlib import suppress
from typing import Any
from weakref import WeakSet

_connections: "WeakSet[Any]" = WeakSet()


def keep_from_forks(connection: Any) -> None:
    """Have a connection of this process's be of no use in what is forked from it."""
    _connections.add(connection)


def _cut() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for connection in list(_connections):
        with suppress(Exception):
            os.dup2(nowhere, connection.fileno())
    os.close(nowhere)


os.register_at_fork(after_in_child=_cut)
