"""What a job's SQL may not do to the transaction that it runs in."""

from functools import lru_cache

from runner.template.guard import leaves_session_state, refuse_transaction_control


@lru_cache(maxsize=256)
def guard(statement: str) -> bool:
    """Tell whether a statement leaves something in the session that a reset does not clear.

    Raises:
        RefusedSql: The statement would end or begin a transaction.
    """
    refuse_transaction_control(statement)
    return leaves_session_state(statement)
