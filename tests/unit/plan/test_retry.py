"""The waits between attempts."""

import pytest

from headrace.model.retry import RetryPolicy
from headrace.plan.retry_delay import retry_delay_s


def never() -> float:
    raise AssertionError("no jitter, no chance")


def test_by_default_the_waits_are_60_300_and_900_seconds():
    assert [retry_delay_s(RetryPolicy(), n, never) for n in (1, 2, 3, 4)] == [60, 300, 900, 900]


def test_given_intervals_count_and_the_last_one_repeats():
    policy = RetryPolicy(intervals_s=(1, 7), factor=100)

    assert [retry_delay_s(policy, n, never) for n in (1, 2, 3, 50)] == [1, 7, 7, 7]


def test_without_any_interval_the_wait_grows_by_the_factor():
    policy = RetryPolicy(delay_s=2, factor=3, max_delay_s=50, intervals_s=())

    assert [retry_delay_s(policy, n, never) for n in (1, 2, 3, 4)] == [2, 6, 18, 50]


def test_jitter_draws_from_zero_up_to_the_wait():
    policy = RetryPolicy(jitter=True)

    assert retry_delay_s(policy, 2, lambda: 0.0) == 0
    assert retry_delay_s(policy, 2, lambda: 0.5) == 150


def test_a_huge_number_of_failures_waits_no_longer_than_the_maximum():
    assert retry_delay_s(RetryPolicy(), 1_000_000, never) == 900


def test_a_retry_follows_at_least_one_failure():
    with pytest.raises(ValueError, match="at least one failure"):
        retry_delay_s(RetryPolicy(), 0, never)
