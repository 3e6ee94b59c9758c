"""A transaction that a job's SQL has prepared waits on its server, and nobody repeats it."""

from tests.connections.conftest import Working, query
from tests.support.places import Server


def test_a_transaction_that_was_prepared_is_told_with_what_ends_it(
    working: Working, debian: Server, place: str
):
    url = debian.url_for(place, "etl")
    query(url, "create table t (n int)")
    hand = working(there=url)
    with_ = {
        "sql": "insert into t values (1); prepare transaction 'left'; begin",
        "way": "behind",
        "connection": "there",
    }
    job = hand.headrace.dispatcher.dispatch(
        "tests.support.jobs_tearing.TextJob", with_, retry={"limit": 2, "delay": 0.1}
    )

    hand.work()

    row = hand.headrace.database.row("job", id=job)
    assert row is not None
    assert (row["status"], row["retry_count"]) == ("failed", 0)
    assert row["error"].partition("\n")[0] == (
        "its SQL prepared the transaction; what it did waits there for COMMIT PREPARED or ROLLBACK"
        " PREPARED"
    )
    query(url, "commit prepared 'left'")
    assert query(url, "select n from t") == [(1,)]
