"""What callers may give as `retry`: each refusal says which key takes what."""

import math
from typing import Any

import pytest

from headrace.errors import InvalidPayload
from headrace.model.retry import RetryPolicy
from headrace.plan.retry_policy import policy_from

LIMIT = "retry.limit takes a whole number from 0 to 1000"
FACTOR = "retry.factor takes a number from 1"


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
        ({"jitter": 1}, "retry.jitter takes true or false"),
        ({"delay": "soon"}, "is not a duration"),
        ({"delay": -1}, "is not a duration"),
        ({"delay": True}, "is not a duration"),
        ({"when": []}, "retry.when takes a list"),
        ({"when": "("}, "not a regular expression"),
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
