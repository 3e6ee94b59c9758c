"""Who reads the schema with SQL finds what its tables mean."""

from contextlib import closing

from tests.support.servers import connect

_WITHOUT = """
select c.relname from pg_class c
 where c.relnamespace = 'headrace'::regnamespace and c.relkind in ('r', 'v')
   and c.relname <> 'alembic_version' and obj_description(c.oid, 'pg_class') is null
"""


def test_every_table_says_what_it_holds(database: str) -> None:
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute(_WITHOUT)
        assert cursor.fetchall() == []
