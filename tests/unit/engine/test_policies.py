"""What callers may give as `retry`: each refusal says which key takes what."""

import math
from typing import Any

import pytest

from headrace.errors import InvalidPayload
from headrace.model.retry import RetryPolicy
from headrace.plan.retry_policy import policy_from, policy_from_row, policy_to_row

LIMIT = "retry.limit takes a whole number from 0 to 1000"
FACTOR = "retry.factor takes a number from 1 to 1000"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (-5, LIMIT),
        (5000, LIMIT),
        ({"limit": -5}, LIMIT),
        ({"limit": 5000}, LIMIT),
        ({"limit": "x"}, LIMIT),
        ({"limit": True}, LIMIT),
        ({"limit": 1.5}, LIMIT),
        ({"factor": 0.5}, FACTOR),
        ({"factor": True}, FACTOR),
        ({"factor": "2"}, FACTOR),
        ({"factor": math.nan}, FACTOR),
        ({"factor": math.inf}, FACTOR),
        ({"factor": 1001}, FACTOR),
        ({"jitter": 1}, "retry.jitter takes true or false"),
        ({"delay": "soon"}, "is not a duration"),
        ({"delay": -1}, "is not a duration"),
        ({"delay": True}, "is not a duration"),
        ({"when": []}, "retry.when takes a list"),
        ({"when": "("}, "not a regular expression: missing )"),
        ({"when": "a{1,99999999999}"}, "not a regular expression: the repetition number is too"),
        ({"limits": 3}, 'has no key "limits"'),
        (True, "takes a number or a mapping"),
        ("3", "takes a number or a mapping"),
    ],
)
def test_a_retry_that_means_nothing_is_refused_by_its_key(written: Any, said: str):
    with pytest.raises(InvalidPayload) as refused:
        policy_from(written, RetryPolicy())
    assert said in str(refused.value)


def test_a_number_is_the_limit():
    assert policy_from(7, RetryPolicy()).limit == 7
    assert policy_from(0, RetryPolicy()).limit == 0


def test_the_bounds_themselves_are_taken():
    assert policy_from({"factor": 1000}, RetryPolicy()).factor == 1000
    assert policy_from({"limit": 1000, "factor": 1}, RetryPolicy()).limit == 1000
    assert policy_from({"factor": 1}, RetryPolicy()).factor == 1


@pytest.mark.parametrize(
    "written",
    [{"delay": "2s"}, {"factor": 3}, {"max_delay": "9s"}, {"delay": "2s", "factor": 3}],
)
def test_waits_of_its_own_end_the_intervals_of_the_default(written: Any):
    default = RetryPolicy(intervals_s=(1.0, 5.0))

    assert policy_from(written, default).intervals_s is None
    assert policy_from({"limit": 2}, default).intervals_s == (1.0, 5.0)


def test_a_policy_with_a_list_of_errors_is_one_that_a_row_can_keep():
    policy = policy_from({"when": ["OperationalError"]}, RetryPolicy())

    assert policy.when == ("OperationalError",)
    assert policy_from_row(policy_to_row(policy)) == policy
