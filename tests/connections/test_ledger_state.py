"""What a role may do with the ledger of a target, as the server's catalog says."""

from collections.abc import Sequence
from contextlib import closing

import pytest

from headrace.store.ledger import _State
from headrace.store.statements import STATEMENTS
from tests.support.places import Server
from tests.support.roles import create_role
from tests.support.servers import connect

ROLE = "looks_at_ledgers"
LEDGER = ("CREATE SCHEMA headrace", "CREATE TABLE headrace.ledger (job_id uuid)")
USAGE = f"GRANT USAGE ON SCHEMA headrace TO {ROLE}"
SELECT = f"GRANT SELECT ON headrace.ledger TO {ROLE}"
INSERT = f"GRANT INSERT ON headrace.ledger TO {ROLE}"
CREATE = f"GRANT CREATE ON SCHEMA headrace TO {ROLE}"


def state(server: Server, place: str, *made: str) -> _State:
    server.execute(create_role(ROLE, "LOGIN PASSWORD 'throw-away'"))
    server.execute(*made, database=place)
    with closing(connect(server.url_for(place, ROLE))) as line, line.cursor() as cursor:
        cursor.execute(STATEMENTS["ledger_state"].pyformat)
        (found,) = cursor.fetchall()
        return _State(*found)


@pytest.mark.parametrize(
    ("granted", "usable"),
    [
        ((), False),
        ((USAGE,), False),
        ((SELECT, INSERT), False),
        ((USAGE, SELECT), False),
        ((USAGE, INSERT), False),
        ((USAGE, SELECT, INSERT), True),
    ],
)
def test_a_ledger_is_of_use_to_whom_may_read_and_write_it(
    debian: Server, place: str, granted: Sequence[str], usable: bool
) -> None:
    found = state(debian, place, *LEDGER, *granted)

    assert found.usable is usable
    assert (found.database, found.role) == (place, ROLE)
    assert found.ledger
    assert not (found.makeable or found.owns_schema or found.may_make_table)


@pytest.mark.parametrize(
    ("made", "makeable"),
    [
        ((), False),
        ((f"GRANT CREATE ON DATABASE {{place}} TO {ROLE}",), True),
        ((LEDGER[0], f"GRANT CREATE ON DATABASE {{place}} TO {ROLE}"), False),
        ((LEDGER[0], USAGE), False),
        ((LEDGER[0], CREATE), False),
        ((LEDGER[0], USAGE, CREATE), True),
        ((*LEDGER, USAGE, CREATE), False),
        ((f"CREATE SCHEMA headrace AUTHORIZATION {ROLE}",), True),
    ],
)
def test_a_ledger_can_be_made_by_whom_may_make_it_where_there_is_none(
    debian: Server, place: str, made: Sequence[str], makeable: bool
) -> None:
    found = state(debian, place, *(one.format(place=place) for one in made))

    assert found.makeable is makeable
    assert not (found.usable or found.read_only)
    assert found.schema is any("CREATE SCHEMA" in one for one in made)
    assert found.owns_schema is any("AUTHORIZATION" in one for one in made)


@pytest.mark.parametrize("made", [(), (*LEDGER, USAGE, SELECT, INSERT)])
def test_where_nothing_can_be_written_a_ledger_is_neither_made_nor_of_use(
    debian: Server, place: str, made: Sequence[str]
) -> None:
    allowed = f"GRANT CREATE ON DATABASE {place} TO {ROLE}"
    closed = f"ALTER ROLE {ROLE} IN DATABASE {place} SET default_transaction_read_only = on"
    debian.execute(create_role(ROLE, "LOGIN PASSWORD 'throw-away'"))

    found = state(debian, place, *made, allowed, closed)

    assert found.read_only
    assert not (found.usable or found.makeable)
