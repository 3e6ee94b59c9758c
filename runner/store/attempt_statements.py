"""The statements of attempts as a child sends them: prepared, with the settings that go before."""

from typing import Any

from headrace.store.log_lines import LogLines
from headrace.store.statements import STATEMENTS

PREPARED = (
    "claim_attempt",
    "complete_attempt",
    "complete_alone",
    "complete_or_refuse",
    "complete_below_or_refuse",
    "complete_handing_on_or_refuse",
    "claim_below_or_refuse",
    "number_and_claimed",
    "complete_and_claim",
    "complete_alone_and_claim",
    "complete_batch",
    "claim_several",
    "finish_run",
    "add_log_lines",
    "add_lines_of_batch",
)
_LOG = f"{STATEMENTS['add_log_lines'].execute}; "
# Where no line was left out none is deleted: see `hold_log`.
_GAP = f"{STATEMENTS['hold_log'].pyformat}; {STATEMENTS['forget_left_out'].pyformat}; "
_LOG_WITH_GAP = _GAP + _LOG

# Losing a claim to a crash of the server is harmless: the row is queued again with the number
# that the message bears, and the attempt that had claimed it can complete nothing. So the
# claim need not wait for the disk. See docs/adr/0003-claim-without-waiting-for-the-disk.md.
CLAIM = f"SET LOCAL synchronous_commit = off; {STATEMENTS['claim_attempt'].execute}"
# By the statistics of a table that was empty a moment ago, reading all of it looks cheap.
_BY_KEY = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
    " SET LOCAL enable_mergejoin = off; "
)
BATCH = _BY_KEY + STATEMENTS["complete_batch"].execute
CLAIM_SEVERAL = (
    f"SET LOCAL synchronous_commit = off; {_BY_KEY}{STATEMENTS['claim_several'].execute}"
)
LOG_OF_BATCH = f"{STATEMENTS['add_lines_of_batch'].execute}; "
FINISH_RUN = f"SET LOCAL synchronous_commit = off; {STATEMENTS['finish_run'].execute}"


def with_log(sql: str, values: dict[str, Any], log: LogLines | None) -> str:
    """Return a statement with those before it that store log lines, and add their values."""
    if log is None:
        return sql
    values |= log.values
    return (_LOG if log.left_out is None else _LOG_WITH_GAP) + sql
