"""What registers a hook, and what a hook is given."""

import logging
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import hooks
from headrace.engine.attempts.attempt_hooks import AttemptHooks
from headrace.hooks import AttemptInfo


@pytest.fixture(autouse=True)
def told() -> Iterator[list[AttemptInfo]]:
    """What `note` was called with; whatever a test registers is forgotten."""
    known = hooks.registered("before_attempt", "on_failure", "after_attempt")
    calls: list[AttemptInfo] = []
    yield calls
    now = hooks.registered("before_attempt", "on_failure", "after_attempt")
    hooks.forget([one for one in now if one not in known])


CLAIMED: Any = SimpleNamespace(
    id="j", job_class="A", attempt=1, queue="low", run_id=None, pipeline=None, step=None
)


def test_a_decorated_function_stays_what_it_was(told: list[AttemptInfo]):
    @hooks.before_attempt
    def count(info: AttemptInfo) -> int:
        return info.attempt

    assert count(AttemptInfo("j", "A", 3, "low", "started")) == 3


def test_a_module_that_is_loaded_twice_registers_its_functions_once(told: list[AttemptInfo]):
    for _ in range(2):

        @hooks.after_attempt
        def note(info: AttemptInfo) -> None:
            told.append(info)

    attempt = AttemptHooks()
    attempt.before(CLAIMED)
    attempt.note(CLAIMED, "completed", result='{"rows": 2}')
    attempt.after()

    assert [(one.status, one.result) for one in told] == [("completed", {"rows": 2})]


def test_an_end_is_told_once_and_an_attempt_without_a_recorded_end_not_at_all(
    told: list[AttemptInfo],
):
    hooks.after_attempt(told.append)
    attempt = AttemptHooks()

    attempt.before(CLAIMED)
    attempt.note(CLAIMED, "failed", error="why")
    assert attempt.after()
    assert not attempt.after()
    attempt.before(CLAIMED)
    assert not attempt.after()

    assert [one.error for one in told] == ["why"]


def test_a_hook_is_given_what_it_cannot_change():
    info = AttemptInfo("j", "A", 1, "low", "started")
    with pytest.raises(FrozenInstanceError):
        info.status = "completed"  # type: ignore[misc]


def test_a_hook_that_exits_is_named_in_the_log_and_the_next_one_is_called(
    told: list[AttemptInfo], caplog: pytest.LogCaptureFixture
):
    @hooks.before_attempt
    def exits(info: AttemptInfo) -> None:
        raise SystemExit(3)

    hooks.before_attempt(told.append)
    with caplog.at_level(logging.WARNING):
        AttemptHooks().before(CLAIMED)

    assert len(told) == 1
    assert "exits (before_attempt) of job j, attempt 1, failed: SystemExit" in caplog.text


def test_without_hooks_no_end_is_kept():
    attempt = AttemptHooks()
    attempt.before(CLAIMED)
    attempt.note(CLAIMED, "completed", result="{}")
    assert not attempt.after()
