"""Notes that functions were called which change what is dear to look at after each job."""

import ctypes
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

# Headrace's own processes look it up when they start; it changes nothing of what is noted here.
_HARMLESS = "prctl"

_looked_up: list[bool] = []
_look_up = ctypes.CDLL.__getattr__


def _noted_look_up(library: ctypes.CDLL, name: str) -> Any:
    """Look a function of C up, and note it: by that one all may be changed, now or later."""
    if name != _HARMLESS:
        _looked_up.append(True)
    return _look_up(library, name)


# Before any job's file is imported. Each function comes this way once for each library.
ctypes.CDLL.__getattr__ = _noted_look_up  # type: ignore[method-assign]


class NotedChanges:
    """Calls of functions of a module, which are wrapped for it: make it before jobs are imported.

    Who calls C by ctypes or cffi needs none of them: from then on a change is always possible.
    """

    def __init__(self, module: ModuleType, *functions: str) -> None:
        self._called = False
        for name in functions:
            # Not every system has all of them.
            if (function := getattr(module, name, None)) is not None:
                setattr(module, name, self._noted(function))

    @property
    def possible(self) -> bool:
        """Return whether something may have been changed since the last `forget`."""
        return self._called or bool(_looked_up) or "_cffi_backend" in sys.modules

    def forget(self) -> None:
        """Forget what was noted, now that all is as it was."""
        self._called = False

    def _noted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any, **named: Any) -> Any:
            self._called = True
            return change(*given, **named)

        return noted
