"""Refuses SQL of jobs that would change the transaction in which it runs."""

from functools import lru_cache

from runner.template.guard import leaves_session_state, refuse_transaction_control, split_statements


class JobGuard:
    """The rules of `runner.template.guard`, as a job's connection asks for them."""

    def check(self, statement: str, *, copy: bool = False) -> bool:
        """Tell whether a statement leaves something in the session that a reset does not clear.

        Raises:
            RefusedSql: The statement would end or begin a transaction.
        """
        return _checked(statement, copy)

    def split(self, text: str) -> list[str]:
        """Return the statements of a text."""
        return split_statements(text)


@lru_cache(maxsize=256)
def _checked(statement: str, copy: bool) -> bool:
    refuse_transaction_control(statement, streams=copy)
    return leaves_session_state(statement)
