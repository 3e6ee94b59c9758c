"""Turns of a daemon in the test's process, on real servers: what it tells, and goes on after."""

import logging
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine import daemon as of_daemon
from headrace.engine.catalog.pipeline_catalog import Pipelines
from headrace.engine.daemon import Daemon
from headrace.errors import (
    LeadershipLost,
    QueueUnavailable,
    SchemaMismatch,
    StoreUnavailable,
)
from headrace.store.embedded import Servers
from tests.support.cluster import Cluster, cluster_on
from tests.support.fake_database import FakeDatabase

ONE_AT_A_TIME = "name: alone\nconcurrency: {limit: 1}\nsteps: [{id: only, job: FailedJob}]\n"


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    with cluster_on(Servers(database, redis_url), tmp_path) as made:
        yield made


@pytest.fixture
def daemon(cluster: Cluster) -> Daemon:
    return Daemon(cluster.headrace)


@pytest.fixture
def signals() -> Iterator[None]:
    """What a daemon's signals did before it came."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def file_of(cluster: Cluster, text: str) -> Path:
    path = cluster.folder / "pipelines" / "alone.yaml"
    path.write_text(text)
    return path


def told(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == level]


def test_what_is_rung_for_in_a_moment_is_done_in_one_turn_at_once(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(daemon, "_stop", SimpleNamespace(wait=waits.append))
    monkeypatch.setattr(daemon, "_term", 1)
    daemon._rung.set()

    daemon._wait()

    assert waits == [0.01]
    assert not daemon._rung.is_set()


@pytest.mark.usefixtures("signals")
def test_whatever_fails_in_a_turn_the_next_one_is_begun(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(of_daemon, "_TICK_S", 0.0)
    monkeypatch.setattr(of_daemon, "listen", lambda *_given, **_more: None)
    turns: list[int] = []

    def turn() -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise RuntimeError("oh")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(daemon, "_turn", turn)

    daemon.run()

    assert turns == [0, 1]
    assert told(caplog, logging.ERROR) == ["an iteration of the daemon failed; continuing"]


@pytest.mark.usefixtures("signals")
def test_how_a_turn_has_failed_decides_how_the_next_one_begins(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(of_daemon, "_TICK_S", 0.0)
    monkeypatch.setattr(of_daemon, "listen", lambda *_given, **_more: None)
    monkeypatch.setattr(daemon, "_outage", SimpleNamespace(pause_s=lambda _error: 0.0))
    monkeypatch.setattr(daemon, "_resign", lambda: begun.append("resigned"))
    begun: list[Any] = []
    outdated = SchemaMismatch("version 9 is needed")
    errors: list[Exception] = [
        StoreUnavailable("away"),
        QueueUnavailable("away"),
        LeadershipLost("term 3 is over"),
        outdated,
    ]

    def turn() -> None:
        begun.append((daemon._term, daemon._interrupted))
        daemon._interrupted = False
        raise errors.pop(0)

    monkeypatch.setattr(daemon, "_turn", turn)
    daemon._term = 3

    with pytest.raises(SchemaMismatch) as raised:
        daemon.run()

    assert raised.value is outdated
    assert begun == [(3, False), (3, True), (3, True), (None, False), "resigned"]
    assert told(caplog, logging.ERROR) == []
    (lost,) = told(caplog, logging.WARNING)
    assert lost == "term 3 is over; the next active daemon starts what is due"
    daemon._notifier.stop()


@pytest.mark.usefixtures("signals")
def test_the_schema_is_looked_at_where_no_turn_has_just_shown_that_it_fits(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_daemon, "_TICK_S", 0.0)
    monkeypatch.setattr(of_daemon, "listen", lambda *_given, **_more: None)
    monkeypatch.setattr(daemon, "_wait", lambda: None)
    monkeypatch.setattr(daemon, "_resign", lambda: None)
    happened: list[str] = []
    monkeypatch.setattr(daemon, "_schema", SimpleNamespace(look=lambda: happened.append("look")))

    def turn() -> None:
        happened.append("turn")
        number = happened.count("turn")
        if number == 2:
            daemon._term = 3
        if number == 4:
            raise RuntimeError("oh")
        if number == 6:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(daemon, "_turn", turn)

    daemon.run()

    standing_by, leading, after_an_error = ["look", "turn"] * 2, ["turn"] * 2, ["look", "turn"]
    assert happened == [*standing_by, *leading, *after_an_error, "turn"]


def test_a_broken_file_whose_last_valid_version_is_lost_is_told_to_whoever_begins_to_lead(
    cluster: Cluster, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(cluster, ONE_AT_A_TIME)
    daemon._turn()
    daemon._resign()
    path.write_text("name: alone\nsteps: [")
    cluster.sql("UPDATE headrace.pipeline SET built = NULL, source = NULL")
    caplog.clear()

    fresh = cluster.headrace.afresh("tests")
    fresh.pipelines = Pipelines(fresh.settings, fresh.registry)
    Daemon(fresh)._turn()
    fresh.close()

    why = "an earlier version did not store it; fix the file"
    expected = f"alone: its file is broken, and it is not active: {why}"
    assert expected in told(caplog, logging.ERROR)
    assert cluster.sql("SELECT name FROM headrace.pipeline") == [{"name": "alone"}]


def test_runs_that_wait_for_a_removed_file_are_told_once(
    cluster: Cluster, daemon: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    path = file_of(cluster, ONE_AT_A_TIME)
    for _ in range(3):
        cluster.headrace.start_run("alone", {})
    daemon._turn()
    assert told(caplog, logging.WARNING) == []
    path.unlink()

    daemon._turn()
    # As after another change of the files.
    (cluster.folder / "pipelines" / "b.yaml").write_text(ONE_AT_A_TIME.replace("alone", "b"))
    daemon._turn()

    (warned,) = told(caplog, logging.WARNING)
    assert warned == (
        "alone: its file was removed; 2 queued runs on hold until it is back, or cancelled with"
        " `headrace cancel`"
    )


def test_a_daemon_that_leads_gives_its_lease_up_where_postgresql_answers(
    cluster: Cluster,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def live() -> bool:
        return bool(
            cluster.sql("SELECT 1 FROM headrace.leader WHERE expires_at > clock_timestamp()")
        )

    asked: list[str] = []

    def away(statement: str, **_values: Any) -> Any:
        asked.append(statement)
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(cluster.headrace.database, "rows", away)
        with caplog.at_level(logging.DEBUG, logger="headrace.daemon"):
            daemon._resign()
            assert asked == [], "it does not lead"
            patched.undo()
            daemon._turn()
            patched.setattr(cluster.headrace.database, "rows", away)
            daemon._resign()
    assert asked == ["give_up_lease"]
    assert told(caplog, logging.DEBUG)[-1] == "the lease will expire"
    assert live()

    daemon._resign()

    assert not live()


def test_a_stop_ends_the_wait_of_a_leader_and_of_a_standby(daemon: Daemon) -> None:
    daemon._on_stop(signal.SIGTERM, None)
    assert (daemon._stop.is_set(), daemon._rung.is_set()) == (True, True)


def test_what_is_due_is_started_by_the_files_as_they_were(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon._turn()
    order: list[str] = []
    monkeypatch.setattr(daemon._scheduler, "is_due", lambda _now: True)
    monkeypatch.setattr(daemon._scheduler, "tick", lambda _now, _term: order.append("starts"))
    monkeypatch.setattr(daemon, "_reload", lambda: order.append("reads the files"))

    daemon._turn()

    assert order[:2] == ["starts", "reads the files"]


def test_whoever_stands_by_says_so_once(
    cluster: Cluster,
    daemon: Daemon,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(of_daemon, "_LEASE_S", 600.0)
    caplog.set_level(logging.INFO)
    second = Daemon(cluster.headrace)
    second._name = "far.1.second"

    def standing_by() -> int:
        return told(caplog, logging.INFO).count("another daemon is active; on standby")

    daemon._turn()
    second._turn()
    second._turn()
    assert standing_by() == 1
    for leader, following in ((daemon, second), (second, daemon)):
        leader._resign()
        leader._term = None
        following._turn()
        assert following._term is not None
    second._turn()
    assert standing_by() == 2, "it has led meanwhile"


def test_a_renewed_lease_tells_the_time_and_one_of_another_term_that_the_lead_is_lost(
    daemon: Daemon,
) -> None:
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    answered = FakeDatabase({"acquire_lease": [{"term": 5, "now": noon}]})
    daemon._term = 5

    daemon._renew(answered)

    assert daemon._clock.last == noon
    daemon._renew(answered, 5)
    for database, term in ((answered, 4), (FakeDatabase(), None)):
        with pytest.raises(LeadershipLost, match=f"term {term or 5} is over"):
            daemon._renew(database, term)


def test_a_daemon_waits_as_long_as_nothing_is_due(
    cluster: Cluster, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert daemon._wait_s() == 1.0
    daemon._turn()
    assert daemon._glance().term == daemon._term
    now = daemon._clock.estimate()
    monkeypatch.setattr(daemon._clock, "estimate", lambda: now)
    for due_in_s, waits_s in ((None, 1.0), (60.0, 1.0), (0.25, 0.25), (-5.0, 0.0)):
        due = None if due_in_s is None else now + timedelta(seconds=due_in_s)
        monkeypatch.setattr(daemon._scheduler, "next_due", lambda due=due: due)
        assert daemon._wait_s() == waits_s
    monkeypatch.setattr(daemon._scheduler, "next_due", lambda: None)
    daemon._triggers._due = {"p"}
    assert daemon._wait_s() == 0.0, "more ended runs are to be looked at than a turn takes"
    daemon._term = None
    assert daemon._wait_s() == 1.0, "they are the next leader's, once the lead is lost"
