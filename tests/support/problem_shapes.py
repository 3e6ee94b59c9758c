"""Holds every problem that any test's files have to the shape that problems have.

Tests look at the words of a problem. This looks at the rest: a code that is a message, an empty
message, a place that is none.
"""

import re
from typing import Any

from headrace.errors import Problem

_CODE = re.compile(r"[a-z]+(-[a-z]+)*")


def look_at_each_problem() -> None:
    """From now on a problem of another shape raises AssertionError where it is made."""
    made = Problem.__init__

    def looked_at(self: Problem, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        assert _CODE.fullmatch(self.code), self
        assert self.message.strip(), self
        assert self.severity in ("error", "warning", "note"), self
        assert min(self.line, self.column) >= 0 and (self.line > 0) == (self.column > 0), self

    Problem.__init__ = looked_at  # type: ignore[method-assign]
