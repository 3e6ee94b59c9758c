"""How many cases a property is tried with: a few in the suite, and by `make fuzz` as many as fit.

A property is a test with `@budget(…)` and Hypothesis' `@given`, or one marked `generated` that asks
`seeds` for the seeds of its cases. `tests/support/fuzz.py` finds both and repeats them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test


@dataclass
class Round:
    """One pass through a property under `make fuzz`; `seed` is None in the suite."""

    seed: int | None = None
    cases: int = 0


ROUND = Round()
# The seeds of one round do not run into those of the next.
_APART = 1_000_000


def budget(cases: int, **more: Any) -> settings:
    """Return the settings of a property that takes `cases` in the suite, or in one round.

    Fixtures are made once for all cases, so a property lays out anew what it changes. In CI the
    cases are the same in each run: Hypothesis' own profile there.
    """
    return settings(
        max_examples=cases, deadline=None, print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        **more,
    )  # fmt: skip


class Seeds:
    """The seeds of a property that makes its cases with `random.Random`.

    `GENERATED_SEED=… GENERATED_CASES=1` shows one case again.
    """

    def __call__(self, cases: int) -> Iterator[int]:
        """Yield as many seeds as the suite tries: the same ones each time, other ones a round."""
        first = int(os.environ.get("GENERATED_SEED", "0"))
        count = int(os.environ.get("GENERATED_CASES", cases))
        if ROUND.seed is not None:
            first, count = ROUND.seed * _APART, cases
        for number in range(first, first + count):
            ROUND.cases += 1
            yield number


def walk(machine: type[RuleBasedStateMachine], cases: int, steps: int) -> None:
    """Let Hypothesis walk through a state machine; the same walks each time, others a round."""
    if ROUND.seed is not None:
        seed(ROUND.seed)(machine)
    setup = machine.__init__

    def counted(self: RuleBasedStateMachine) -> None:
        ROUND.cases += 1
        setup(self)

    machine.__init__ = counted  # type: ignore[method-assign]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=cases, stateful_step_count=steps, deadline=None,
            derandomize=ROUND.seed is None, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
