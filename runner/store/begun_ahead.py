"""An attempt's transaction that is begun in the message that ends the attempt before.

It holds nothing but its number until the job comes to use it. Where the job does not, the next
thing that is sent over the connection ends it: see `ChildConnection`.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from headrace.store.attempt_mark import Mark, beginning, new_savepoint
from headrace.store.connection import ChildConnection
from headrace.store.follower import Follower
from headrace.store.session_state import begin_number

_FRESH_S = 0.1


@dataclass(slots=True)
class Ahead:
    """A transaction that is begun ahead; `settings` are the commands that come first in it."""

    settings: str
    _began: float = field(default_factory=time.monotonic)
    savepoint: str = field(default_factory=new_savepoint)
    number: str = ""
    # The job that goes on in it, where it was claimed in the same message.
    follower: Follower | None = None

    @property
    def commands(self) -> str:
        """What begins it; the last of them returns its number, and the job's row behind it."""
        number = self.follower.read if self.follower else begin_number(prepared=True)
        return beginning(self.settings, self.savepoint) + number

    def begun(self, raw: Any, row: tuple[Any, ...]) -> None:
        """Note that it is open."""
        raw.ahead, self.number = True, row[0]
        if self.follower is not None:
            self.follower.row = row[1:]

    def serves(self, store: ChildConnection, settings: str, role: str | None) -> bool:
        """Return whether it is open and as a job needs it; if not it is ended.

        For a job that has done other things first it is too old: `now()` is when it began.
        """
        if store.lost or not store.raw.ahead:
            return False
        fresh = time.monotonic() - self._began < _FRESH_S
        if fresh and self.settings == settings and role is None:
            return True
        store.end_ahead()
        return False

    def adopt(self, raw: Any) -> None:
        """Make it the transaction of the attempt at hand."""
        raw.ahead, raw.held, raw.mark = False, True, Mark(self.savepoint)
