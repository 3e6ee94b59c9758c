"""The types of rows say what PostgreSQL returns: the same columns, each of its type."""

from contextlib import closing
from datetime import datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import pytest

from headrace.store import queries
from headrace.store.attempts import Claimed
from headrace.store.statements import STATEMENTS, Query
from tests.support.servers import connect

QUERIES = {name: one for name, one in vars(queries).items() if isinstance(one, Query)}
# By PostgreSQL's numbers of its types.
PYTHON = {
    16: bool, 20: int, 23: int, 25: str, 701: float, 1009: list, 1184: datetime, 2950: UUID,
}  # fmt: skip
JSON = {114, 3802}
# What rings the bell is no column of anybody's.
NO_COLUMN = {"case"}
# Where a row without values is refused before anything comes back.
NEEDED = {"id": "00000000-0000-7000-8000-000000000000", "job_class": "X", "payload": "{}"}
NEEDED |= {"queue": "medium", "retry": "{}"}
SAMPLES: dict[str, dict[str, object]] = {
    "insert_job": {**NEEDED, "timeout_s": 1.0},
    "insert_dependent_job": {**NEEDED, "timeout_s": 1.0, "deps_left": 1},
}


def plain(hint: Any) -> Any:
    """Return a hint's type without None and without what stands in its brackets."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (one for one in get_args(hint) if one is not type(None))
    return get_origin(hint) or hint


def columns(database: str, statement: str) -> dict[str, int]:
    one = STATEMENTS[statement]
    values = {**dict.fromkeys(one.parameters), **SAMPLES.get(statement, {})}
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(one.pyformat, values)
        assert cursor.description is not None
        found = {column.name: column.type_code for column in cursor.description}
        opened.rollback()
        return found


@pytest.mark.parametrize("name", QUERIES)
def test_a_typed_row_has_the_columns_of_its_statement(database: str, name: str) -> None:
    query = QUERIES[name]
    hints = get_type_hints(query.row)

    found = columns(database, query.name)

    assert name == query.name.upper()
    assert hints.keys() == found.keys() - NO_COLUMN
    for column, hint in hints.items():
        if found[column] not in JSON:
            assert plain(hint) is PYTHON[found[column]], column


def test_a_claim_by_each_way_has_the_fields_of_a_claimed_attempt(database: str) -> None:
    fields = set(Claimed._fields)
    own = {"ended_id", "ended_run", "ended_dependents", "recount", "released", "undecided"}

    # A row is taken over by the order of its columns, too.
    assert tuple(columns(database, "claim_attempt")) == Claimed._fields
    assert tuple(columns(database, "number_and_claimed")) == ("number", *Claimed._fields)
    fields -= {"below"}
    for name in ("complete_and_claim", "complete_alone_and_claim"):
        assert columns(database, name).keys() == fields | own
    batch = {"ids", "recount", "released", "undecided", "place"}
    assert columns(database, "complete_batch").keys() == fields | batch
