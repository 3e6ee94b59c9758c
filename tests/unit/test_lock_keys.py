"""Keys of locks that programs of two versions share: with other ones, neither would wait."""

import re
from pathlib import Path

from headrace.store import ledger, migrations, session_settings

SQL = Path(ledger.__file__).parent / "sql"


def test_versions_that_run_side_by_side_take_the_same_locks() -> None:
    numbers = (ledger._LOCK, migrations._LOCK, session_settings._SIGN)
    text = "\n".join(path.read_text(encoding="utf-8") for path in SQL.glob("*.sql"))

    assert numbers == (1751474532, 0x68656164, 1751478627)
    assert sorted(re.findall(r"hashtextextended\((.*), 0\)", text)) == [
        "'headrace ' || name",
        "'headrace pool ' || :pool::text",
        ":id::text || ':' || :attempt::text",
        ":pipeline::text || ' ' || :idempotency_key::text",
    ]
    assert set(re.findall(r"classid = (\d+)", text)) == {"1751478627"}
