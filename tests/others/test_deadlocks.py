"""A deadlock in MariaDB: the server has undone the job's whole transaction."""

from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import pytest

from headrace.errors import JobFailure
from headrace.store.sessions import JobSessions
from tests.others.conftest import Place, Places
from tests.others.test_transactions import ENDED, LEDGER, attempt_at, run
from tests.support.mariadb import MariaDb


@pytest.fixture
def in_mysql(places: Places, database: str) -> Iterator[tuple[Place, JobSessions]]:
    place = places("mysql")
    place.query("create table t (id int primary key)")
    with attempt_at(place, database) as made:
        yield place, made


def test_who_swallows_a_deadlock_commits_nothing_more(
    in_mysql: tuple[Place, JobSessions], mariadb: MariaDb
) -> None:
    place, sessions = in_mysql
    place.query("insert into t select seq from seq_1_to_99")
    deadlock = r"^there \(MySQL\): Deadlock found when trying to get lock; try restarting"
    with closing(mariadb.session(place.url.rpartition("/")[2])) as opened:
        # Of two who wait for each other the one that has done more lives on.
        opened.cursor().execute("update t set id = id + 1000 where id > 1")
        with sessions.other("there") as line:
            run(line, "update t set id = 0 where id = 1")
            partner = Thread(target=opened.cursor().execute, args=["delete from t where id = 1"])
            partner.start()
            with pytest.raises(JobFailure, match=deadlock):
                run(line, "delete from t where id = 2")
            partner.join()
            with pytest.raises(JobFailure, match=deadlock):
                run(line, "insert into t values (7)")

        with pytest.raises(JobFailure, match=deadlock):
            sessions.commit_targets()

    sessions.roll_back()
    assert sessions.verdict() is None, "it may be tried again"
    assert place.query("select min(id), max(id), count(*) from t") == [(1, 99, 99)]
    assert place.query(LEDGER) == []


def test_a_deadlock_behind_a_procedure_that_may_have_committed_is_for_good(
    in_mysql: tuple[Place, JobSessions], mariadb: MariaDb
) -> None:
    place, sessions = in_mysql
    mariadb.execute(
        "create procedure committing() begin commit; signal sqlstate '40001'"
        " set mysql_errno = 1213, message_text = 'as of a deadlock'; end",
        database=place.url.rpartition("/")[2],
    )
    with sessions.other("there") as line:
        run(line, "insert into t values (1)")
        with pytest.raises(JobFailure, match="as of a deadlock"):
            run(line, "call committing()")

    sessions.roll_back()
    assert sessions.verdict() == ENDED
    assert place.query("select id from t") == [(1,)]
