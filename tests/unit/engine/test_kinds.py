"""How `retry.when` calls an error."""

from headrace.model.retry import RetryPolicy
from headrace.plan.error_kinds import TIMEOUT_KINDS, kinds_of
from headrace.plan.retry_delay import is_worth_a_retry


class Refused(ConnectionError):
    """An error that a job has declared by itself."""


def test_an_error_goes_by_its_class_those_above_and_those_of_its_causes() -> None:
    error = Refused("no")
    error.__cause__ = KeyError("x")

    assert {"Refused", "ConnectionError", "OSError", "KeyError", "LookupError"} <= kinds_of(error)
    assert "object" not in kinds_of(error)


def test_causes_that_go_round_in_a_circle_come_to_an_end() -> None:
    first, second = Refused("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    assert {"Refused", "KeyError"} <= kinds_of(first)


def test_a_job_stopped_at_its_timeout_is_a_timeout_error() -> None:
    for name in ("TimeoutError", "JobTimeout"):
        assert is_worth_a_retry(RetryPolicy(when=(name,)), TIMEOUT_KINDS, "timed out")
    assert not is_worth_a_retry(RetryPolicy(when=("OperationalError",)), TIMEOUT_KINDS, "")
    assert is_worth_a_retry(RetryPolicy(when="^timed out"), TIMEOUT_KINDS, "timed out: the job")
    assert is_worth_a_retry(RetryPolicy(), TIMEOUT_KINDS, "")
