"""Learns which jobs' code opens a session on the control database at once, as most code does.

For those the transaction is begun in the message that ends the attempt before. It holds a number
from then on, which keeps VACUUM from removing what is deleted since: a class of which one job has
computed first is not counted on before many more of its jobs have been prompt.
"""

_AT_ONCE_S = 0.005
_RUNS = 10
# A prompt class whose process had to wait for a core is prompt again after a few more runs.
_HELD_UP_S = 0.05


class PromptClasses:
    """What one child has seen of the jobs of each class."""

    def __init__(self) -> None:
        self._runs: dict[str, int] = {}

    def learn(self, job_class: str, opened_after_s: float | None) -> None:
        """Note after how many seconds an attempt has opened its session; None for never."""
        runs = self._runs.get(job_class, 0)
        if opened_after_s is None or opened_after_s >= _HELD_UP_S:
            runs = 0
        else:
            runs = min(runs + 1, 2 * _RUNS) if opened_after_s < _AT_ONCE_S else runs - _RUNS // 2
        self._runs[job_class] = max(0, runs)

    def __contains__(self, job_class: str) -> bool:
        """Tell whether the last jobs of this class were all prompt."""
        return self._runs.get(job_class, 0) >= _RUNS
