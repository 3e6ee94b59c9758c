"""Instants as a connection of ours gives them."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.store.connect import connect_raw


@pytest.mark.parametrize(
    ("zone", "text", "seen"),
    [
        ("Etc/GMT-2", None, None),
        ("Etc/GMT-2", "2026-02-03 10:00:00.5", datetime(2026, 2, 3, 8, 0, 0, 500_000, tzinfo=UTC)),
        # Within a day of the first and of the last year UTC's is another one: it stays as it is.
        ("Etc/GMT-2", "0001-01-01 00:00", datetime.fromisoformat("0001-01-01T00:00:00+02:00")),
        ("Etc/GMT+2", "9999-12-31 23:00", datetime.fromisoformat("9999-12-31T23:00:00-02:00")),
    ],
)
def test_an_instant_is_given_in_utc(database: str, zone: str, text: str | None, seen: Any) -> None:
    line = connect_raw(database, application_name="headrace:test")
    with closing(line) as raw, raw.cursor() as cursor:
        cursor.execute(f"SET timezone TO '{zone}'")
        cursor.execute("SELECT %s::timestamptz", (text,))
        ((found,),) = cursor.fetchall()

    assert found == seen
    assert found is None or found.utcoffset() == seen.utcoffset()
