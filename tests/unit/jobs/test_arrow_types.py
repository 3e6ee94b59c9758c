"""Which columns go to and fro in columns, as what; all others go as text."""

import pyarrow
import pytest

from headrace.jobs.copying.binary_copy import arrow_type, arrow_types
from headrace.jobs.tables.table_catalog import Column

TEXT = pyarrow.string()
KNOWN = {
    "smallint": pyarrow.int16(),
    "integer": pyarrow.int32(),
    "bigint": pyarrow.int64(),
    "real": pyarrow.float32(),
    "double precision": pyarrow.float64(),
    "boolean": pyarrow.bool_(),
    "text": TEXT,
    "date": pyarrow.date32(),
    "time without time zone": pyarrow.time64("us"),
    "timestamp without time zone": pyarrow.timestamp("us"),
    "timestamp with time zone": pyarrow.timestamp("us", tz="UTC"),
    "json": TEXT,
    "jsonb": TEXT,
    "character varying": TEXT,
    "character varying(9)": TEXT,
    "character(1)": TEXT,
    "numeric(38,38)": pyarrow.decimal128(38, 38),
    "numeric(9,0)": pyarrow.decimal128(9, 0),
}
OTHERS = [
    "numeric", "numeric(39,0)", "numeric(3,4)", "numeric(3,-1)", "numeric(9,2)[]", "text[]",
    "character varying[]", "character varying(9)[]", "interval", "uuid", "bytea", "money", "oid",
    "time with time zone", "time(3) without time zone", "timestamp(0) without time zone",
]  # fmt: skip


@pytest.mark.parametrize("type_", KNOWN)
def test_a_type_that_keeps_all_values_is_taken(type_: str) -> None:
    column = Column("c", type_)

    assert arrow_types([column]) == {"c": KNOWN[type_]}
    assert arrow_type(column) == KNOWN[type_]


@pytest.mark.parametrize("type_", OTHERS)
def test_a_column_of_another_type_has_all_go_as_text(type_: str) -> None:
    column = Column("c", type_)

    assert arrow_types([Column("n", "integer"), column]) is None
    assert arrow_type(column) == TEXT


def test_an_enumeration_goes_as_text() -> None:
    assert arrow_types([Column("c", "mood", kind="e")]) == {"c": TEXT}
    assert arrow_types([Column("c", "mood[]", kind="e")]) is None
    assert arrow_types([Column("c", "mood")]) is None
