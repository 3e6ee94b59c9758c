"""Tells when completion and commit are worth trying in one message."""

_LONGEST_REST = 64


class OneMessage:
    """Whether they are: that fails where the completion releases dependants.

    The steps of a chain each release one, the items of a `foreach` none but for the last. After a
    failure the next jobs with dependants are completed in two messages, twice as many each time.
    """

    def __init__(self) -> None:
        self._rest = 0
        self._next_rest = 1

    def is_worth_it(self, dependents: int) -> bool:
        """Return whether to try it with a job that has so many dependants."""
        if not dependents or not self._rest:
            return True
        self._rest -= 1
        return False

    def note(self, dependents: int, *, failed: bool) -> None:
        """Learn from an attempt at it."""
        if not dependents:
            return
        if failed:
            self._rest = self._next_rest
            self._next_rest = min(2 * self._next_rest, _LONGEST_REST)
        else:
            self._next_rest = 1
