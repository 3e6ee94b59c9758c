"""The resource limits of this process, as a job is to find them."""

import resource

from headrace.engine.workers.noted_changes import NotedChanges

# Some have two names.
_LIMITS = sorted({getattr(resource, one) for one in dir(resource) if one.startswith("RLIMIT_")})


class Limits:
    """Looks at the limits, a system call for each, where a change was noted.

    The changes of C code that Python does not load or call by name are noted nowhere: every few
    times all are looked at.
    """

    _OFTEN = 16

    def __init__(self) -> None:
        self._changes = NotedChanges(resource, "setrlimit", "prlimit")
        self._known: list[tuple[int, int]] = []
        self._looks = 0

    def learn(self, _now: bool) -> bool:
        """Take the present limits for those that are to be."""
        self._known = self._now()
        return True

    def read(self) -> bool:
        """Return whether the limits are as they were, as far as is known without a look."""
        self._looks += 1
        if not self._changes.possible and self._looks % self._OFTEN:
            return True
        if self._now() != self._known:
            # Noted still: whoever puts them back looks once more.
            return False
        self._changes.forget()
        return True

    def put(self, _known: bool) -> None:
        """Make them what they were."""
        for limit, pair in zip(_LIMITS, self._known, strict=True):
            if resource.getrlimit(limit) != pair:
                resource.setrlimit(limit, pair)

    def _now(self) -> list[tuple[int, int]]:
        return list(map(resource.getrlimit, _LIMITS))
