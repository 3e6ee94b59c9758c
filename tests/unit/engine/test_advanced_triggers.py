"""When the pipelines that wait for others are looked at although nothing was seen to end."""

from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.scheduling import pipeline_triggers
from headrace.engine.scheduling.pipeline_triggers import PipelineTriggers


def test_only_a_look_at_all_of_them_puts_the_next_one_off(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    nothing: Any = SimpleNamespace()
    triggers = PipelineTriggers(nothing, nothing, nothing, nothing, lambda: now[0])
    triggers._declared = dict.fromkeys("ab", nothing)
    triggers._synced = True
    triggers._next_advance = 110.0
    looked: list[str] = []

    def start(due: list[str], _start: Any) -> list[int]:
        looked.append("".join(due))
        triggers._due.clear()
        return [2, 1]

    monkeypatch.setattr(pipeline_triggers, "start_due", start)

    assert triggers.tick(1) == 0
    triggers._due = {"b", "gone"}
    assert triggers.tick(1) == 3
    for second in (109.0, 110.0, 110.0):
        now[0] = second
        triggers.tick(1)
    now[0] += pipeline_triggers._ADVANCE_EVERY_S
    triggers.tick(1)

    assert looked == ["b", "ab", "ab"]
