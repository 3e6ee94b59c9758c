"""An attempt's transaction that is begun in the message that ends the attempt before.

It holds nothing but its number until the job comes to use it. Where the job does not, the next
thing that is sent over the connection ends it: see `ChildConnection`.
"""

from dataclasses import dataclass
from typing import Any

from headrace.store.attempt_mark import Mark, beginning, new_savepoint
from headrace.store.connection import ChildConnection
from headrace.store.session_settings import statement
from headrace.store.session_state import begin_number


@dataclass(slots=True)
class Ahead:
    """A transaction that is begun ahead; `settings` are the commands that come first in it."""

    settings: str
    savepoint: str
    number: str = ""

    @classmethod
    def on(cls, store: ChildConnection) -> "Ahead":
        """Return one that is still to be begun, as most jobs need it."""
        return cls(statement(store.raw.base.for_jobs(), local=True), new_savepoint())

    @property
    def commands(self) -> str:
        """What begins it; the last of them returns its number."""
        return beginning(self.settings, self.savepoint) + begin_number(prepared=True)

    def begun(self, raw: Any, row: tuple[str]) -> None:
        """Note that it is open."""
        raw.ahead, (self.number,) = True, row

    def serves(self, store: ChildConnection, settings: str, role: str | None) -> bool:
        """Return whether it is open and as a job needs it; if not it is ended."""
        if store.lost or not store.raw.ahead:
            return False
        if self.settings == settings and role is None:
            return True
        store.end_ahead()
        return False

    def adopt(self, raw: Any) -> None:
        """Make it the transaction of the attempt at hand."""
        raw.ahead, raw.held, raw.mark = False, True, Mark(self.savepoint)
