"""A program that has asked the control database, and then forks: its connections stay its own."""

from headrace.store.database import Database
from tests.support.in_fork import in_fork
from tests.support.rows import Rows

WHO = "SELECT pg_backend_pid()"


def served_by(kept: Database) -> set[int]:
    """Return the processes of the server that answer, one for each way to ask."""
    assert kept.prepared("number_of_transaction") == [(None,)]
    (line,) = kept._ready
    with line.raw.plain() as cursor:
        cursor.execute(WHO)
        ((prepared,),) = cursor.fetchall()
    assert kept.row("visible_until") is not None
    with kept._lines.connect() as connection:
        single = connection.exec_driver_sql(WHO).scalar_one()
    with kept.transaction() as tx:
        several = tx.connection.exec_driver_sql(WHO).scalar_one()
    return {prepared, single, several}


def test_a_forked_process_opens_connections_of_its_own(rows: Rows) -> None:
    kept = Database(rows.url, application_name="headrace:kept", pool_size=1)
    own = served_by(kept)
    assert len(own) == 3

    def forked() -> None:
        others = served_by(kept)
        assert len(others) == 3
        assert not others & own
        kept.close()

    in_fork(forked)

    assert served_by(kept) == own
    kept.close()
