"""The mutation check: without the fence the suite must fail."""

import os
from pathlib import Path

import pytest

from headrace.store.embedded import Servers
from tests.support import warm_python

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(240)  # a suite within a suite, on a busy machine
@pytest.mark.parametrize(
    ("statement", "line", "broken"),
    [
        ("ending_part", "fencing token", "test_a_reaped_attempt_cannot_record_its_late_success"),
        ("ending_batch_part", "fencing token", "test_a_reaped_attempt_cannot_complete_in_a_batch"),
        ("claiming_batch_part", "fencing token", "test_an_old_message_claims_nothing_in_a_batch"),
        (
            "fail_attempt",
            "fencing token",
            "test_a_reaped_attempt_cannot_fail_or_lose_its_successor",
        ),
        (
            "lose_attempts",
            "fencing token",
            "test_a_reaped_attempt_cannot_fail_or_lose_its_successor",
        ),
        ("claim_attempt", "fencing token", "test_an_old_message_claims_nothing"),
        ("ending_part", "mark", "test_a_job_cannot_complete_in_another_transaction_than_its_own"),
        ("claiming_part", "mark", "test_a_job_claims_none_in_another_transaction_than_its_own"),
        ("sign_ledger", "mark", "test_a_job_cannot_sign_in_another_transaction_than_its_own"),
    ],
)
def test_the_suite_fails_without_the_fence(
    servers: Servers, statement: str, line: str, broken: str
) -> None:
    test = f"tests/store/test_fence.py::{broken}"
    plugins = ("-p", "tests.support.unfenced", "-p", "no:cacheprovider")

    code, out, err = warm_python.run(
        ["pytest", "-q", *plugins, test],
        cwd=ROOT,
        env={
            **os.environ,
            "UNFENCED": statement,
            "UNFENCED_LINE": line,
            "PYTHONPATH": str(ROOT),
            "TEST_DATABASE_URL": servers.database_url,
            "TEST_REDIS_URL": servers.redis_url,
        },
        timeout=200,
    )

    assert code == 1, out + err
    assert f"FAILED {test}" in out
