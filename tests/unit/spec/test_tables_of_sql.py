"""Which tables SQL reads, writes and makes."""

import pytest

from headrace.declarations.lint.tables_of_sql import uses_of_sql


@pytest.mark.parametrize(
    ("sql", "reads", "writes"),
    [
        ("TRUNCATE s.a, b", set(), {"s.a", "b"}),
        ("DROP TABLE IF EXISTS a, b", set(), {"a", "b"}),
        ("INSERT INTO a SELECT * FROM b JOIN c USING (id)", {"b", "c"}, {"a"}),
        ("UPDATE a SET x = b.x FROM b WHERE a.id = b.id", {"b"}, {"a"}),
        ("WITH w AS (SELECT 1 FROM b) DELETE FROM a USING w", {"b"}, {"a"}),
        ("TRUNCATE a; INSERT INTO a SELECT 1 FROM b", {"b"}, {"a"}),
        ("SELECT count(*) FROM a", {"a"}, set()),
        (";; SELECT count(*) FROM a;; ; -- the end", {"a"}, set()),
        ("-- nothing", set(), set()),
        ("", set(), set()),
    ],
)
def test_each_table_is_read_or_written(sql: str, reads: set[str], writes: set[str]) -> None:
    use = uses_of_sql(sql)

    assert (set(use.reads), set(use.writes)) == (reads, writes)
