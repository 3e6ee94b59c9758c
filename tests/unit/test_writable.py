"""What a refused look for room on PostgreSQL's disk means."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from psycopg2 import errorcodes
from sqlalchemy.exc import OperationalError

from headrace.store.writable import demand_writes


class Looked:
    """A transaction in which the look is refused with this code."""

    def __init__(self, code: str) -> None:
        self.connection = SimpleNamespace(begin_nested=nullcontext)
        self.ran: list[str] = []
        self._code = code

    def rows(self, statement: str) -> None:
        self.ran.append(statement)
        if statement == "spill":
            orig: Any = SimpleNamespace(pgcode=self._code)
            raise OperationalError("the statement", None, orig)


def test_a_role_s_limit_for_files_of_queries_says_nothing_of_the_disk() -> None:
    tx: Any = Looked(errorcodes.CONFIGURATION_LIMIT_EXCEEDED)

    demand_writes(tx)

    assert tx.ran == ["refuse_read_only", "spill_soon", "spill"]


@pytest.mark.parametrize("code", [errorcodes.DISK_FULL, errorcodes.QUERY_CANCELED, None])
def test_anything_else_is_raised_as_it_is(code: Any) -> None:
    tx: Any = Looked(code)

    with pytest.raises(OperationalError) as told:
        demand_writes(tx)

    assert getattr(told.value.orig, "pgcode", "") == code
