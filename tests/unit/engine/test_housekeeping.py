"""What the active daemon does beside its loop, and what is compared before workers start."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from headrace.engine.operations import former_messages, housekeeping, retention, totals
from headrace.engine.operations.connection_budget import Demand, require_connections
from headrace.engine.operations.former_messages import remove_former_messages
from headrace.engine.operations.housekeeping import Housekeeping
from headrace.engine.operations.job_progress import with_progress
from headrace.engine.operations.partial_files import remove_partials
from headrace.engine.operations.retention import Pruned, keep_retention, pause_s
from headrace.engine.operations.totals import Totals
from headrace.errors import ConfigError, QueueUnavailable, StoreUnavailable
from headrace.model.ids import first_id_of
from tests.support.fake_database import FakeDatabase
from tests.support.noting import note

NOW = datetime(2026, 7, 1, tzinfo=UTC)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- pruning ------------------------------------------------------------------------------------


class Settings:
    """What pruning asks of the settings."""

    retention_s, log_retention_s = 60.0, 30.0

    def outputs(self) -> list[str]:
        return ["exports"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the pruning was asked for, by a thread that has ended when it is looked at."""
    asked: list[Any] = []

    def keep(*given: Any) -> Pruned:
        asked.append(given[1:])
        return Pruned(runs=2, jobs=3, logs=4)

    monkeypatch.setattr(housekeeping, "keep_retention", keep)
    monkeypatch.setattr(housekeeping, "remove_partials", lambda _database, folders: len(folders))
    return asked


def made(clock: Clock | None = None) -> Housekeeping:
    database: Any = FakeDatabase()
    settings: Any = Settings()
    return Housekeeping(database, settings, clock or Clock(), {})


def act(daily: Housekeeping) -> None:
    before = set(threading.enumerate())
    daily.act()
    for thread in set(threading.enumerate()) - before:
        thread.join()


def test_what_is_old_is_deleted_once_an_hour_and_told(
    kept: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    daily = made(clock)

    act(daily)
    act(daily)
    assert kept == [(60.0, 30.0)]
    assert [record.message for record in caplog.records] == [
        "removed 1 incomplete files of stopped jobs",
        "pruned 2 runs and 3 jobs",
        "pruned the logs of 4 jobs",
    ]
    clock.now += 3599.0
    act(daily)
    assert len(kept) == 1
    clock.now += 2.0
    act(daily)
    assert len(kept) == 2


@pytest.mark.parametrize(
    ("pruned", "told"),
    [
        (Pruned(), []),
        (Pruned(runs=1), ["pruned 1 run and 0 jobs"]),
        (Pruned(jobs=1), ["pruned 0 runs and 1 job"]),
        (Pruned(logs=1), ["pruned the logs of 1 job"]),
    ],
)
def test_only_what_was_deleted_is_told(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    pruned: Pruned,
    told: list[str],
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(housekeeping, "keep_retention", lambda *_given: pruned)
    monkeypatch.setattr(housekeeping, "remove_partials", lambda *_given: 0)

    made()._prune_now()

    assert [record.message for record in caplog.records] == told


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError("no such disk"),
            [
                ("WARNING", "incomplete files of stopped jobs cannot be removed: no such disk"),
                # The control database must not grow for that.
                ("INFO", "pruned 2 runs and 3 jobs"),
                ("INFO", "pruned the logs of 4 jobs"),
            ],
        ),
        (StoreUnavailable("away"), [("DEBUG", "away; pruning continues in an hour")]),
    ],
)
@pytest.mark.usefixtures("kept")
def test_what_keeps_it_from_that_is_told_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    told: list[tuple[str, str]],
) -> None:
    caplog.set_level(logging.DEBUG)

    def failing(*_given: Any) -> int:
        raise error

    monkeypatch.setattr(housekeeping, "remove_partials", failing)

    made()._prune_now()

    assert [(record.levelname, record.message) for record in caplog.records] == told


@pytest.mark.parametrize(
    ("took_s", "busy", "pause"), [(0.1, True, 0.9), (0.4, False, 0.1), (9.0, True, 1.0)]
)
def test_most_of_the_time_belongs_to_jobs(took_s: float, busy: bool, pause: float) -> None:
    assert pause_s(took_s, busy=busy) == pytest.approx(pause)


@pytest.mark.parametrize(
    ("retention_s", "log_retention_s", "asked"),
    [
        (None, None, []),
        (60.0, None, ["runs"]),
        (None, 30.0, ["logs"]),
        (60.0, 30.0, ["runs", "logs"]),
    ],
)
def test_what_has_no_limit_is_kept(
    monkeypatch: pytest.MonkeyPatch,
    retention_s: float | None,
    log_retention_s: float | None,
    asked: list[str],
) -> None:
    done: list[str] = []
    monkeypatch.setattr(retention, "delete_expired", lambda *_given: None)
    monkeypatch.setattr(retention, "prune", lambda *_given: note(done, "runs", Pruned(runs=1)))
    monkeypatch.setattr(retention, "prune_logs", lambda *_given: note(done, "logs", 5))
    database: Any = FakeDatabase()

    pruned = keep_retention(database, retention_s, log_retention_s)

    assert done == asked
    assert (pruned.runs, pruned.logs) == (int("runs" in asked), 5 if "logs" in asked else 0)


def test_batches_go_on_behind_the_last_one_until_one_is_not_full() -> None:
    ids = [UUID(int=number) for number in range(5)]
    found = iter([2, 2, 1])
    asked: list[tuple[UUID, UUID]] = []

    def batch(after: UUID, until: UUID) -> Any:
        asked.append((after, until))
        return {"found": next(found), "last": ids[len(asked)], "busy": False}

    retention._in_batches(batch, 2, ids[0], ids[4])

    assert asked == [(ids[0], ids[4]), (ids[1], ids[4]), (ids[2], ids[4])]


def test_old_rows_are_looked_for_among_old_ids_and_those_of_a_clock_ahead() -> None:
    old, ahead = retention._ranges(1000.0, 60.0)

    assert old == (UUID(int=0), first_id_of(940.001))
    assert ahead == (first_id_of(1000.001), UUID(int=(1 << 128) - 1))
    # Of an age beyond all clocks there is nothing.
    assert next(retention._ranges(10.0, 60.0))[1] == first_id_of(0.001)


def test_files_of_attempts_that_run_no_more_are_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ours, others = str(UUID(int=1)), str(UUID(int=2))
    names = {
        f".a.csv.{ours}.1.part": True,
        f".a.csv.{ours}.2.part": False,
        f".a.csv.{others}.1.part": False,
        f"a.csv.{ours}.1.part": False,
        f".a.csv.{ours}.1.partial": False,
        f".a.csv.{ours}.x.part": False,
    }
    (tmp_path / "deep").mkdir()
    for name in names:
        (tmp_path / "deep" / name).touch()
    (tmp_path / f".folder.{ours}.1.part").mkdir()
    database: Any = FakeDatabase({"attempts_of_jobs": [{"id": UUID(int=1), "running": 2}]})

    assert remove_partials(database, [tmp_path]) == 1

    left = {path.name for path in (tmp_path / "deep").iterdir()}
    assert left == {name for name, gone in names.items() if not gone}
    assert database.values_of("attempts_of_jobs") == [{"ids": [ours, others]}]
    assert caplog.messages == [], "a folder is no such file"
    assert remove_partials(FakeDatabase(), []) == 0  # type: ignore[arg-type]


def test_a_file_that_cannot_be_removed_keeps_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [tmp_path / f".{name}.csv.{UUID(int=1)}.1.part" for name in "abc"]
    for path in paths:
        path.touch()
    unlink = Path.unlink

    def unlinked(path: Path, *, missing_ok: bool) -> None:
        if path == paths[1]:
            raise OSError(30, "Read-only file system", str(path))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlinked)
    database: Any = FakeDatabase({"attempts_of_jobs": [{"id": UUID(int=1), "running": 2}]})

    assert remove_partials(database, [tmp_path]) == 2

    assert list(tmp_path.iterdir()) == [paths[1]]
    (told,) = caplog.messages
    assert told.startswith("1 incomplete files of stopped jobs cannot be removed: [Errno 30] ")


# -- totals -------------------------------------------------------------------------------------


def test_totals_are_counted_in_their_turn_and_with_a_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, counted = Clock(), []

    def count(_database: Any, until: Any) -> float:
        counted.append(until)
        return 0.0

    monkeypatch.setattr(totals, "count", count)
    database: Any = FakeDatabase()
    state = {"behind": True, "now": NOW, "until": NOW - timedelta(seconds=60)}
    made = Totals(database, clock)

    def look() -> None:
        tx: Any = FakeDatabase(
            {"totals_behind": [state], "open_writers": [{"now": NOW, "writers": []}]}
        )
        made.look(tx)
        made.count_soon()
        if made._thread is not None:
            made._thread.join()

    made.count_soon()
    assert counted == []
    look()
    assert counted == [NOW]
    assert not caplog.records, "a minute behind is not late"
    made._next = clock.now + 5.0
    look()
    assert counted == [NOW], "it rests"
    clock.now += 5.0
    state["until"] = NOW - timedelta(seconds=61)
    look()
    clock.now += 60.0
    look()
    assert len(counted) == 3
    (late,) = caplog.records
    assert "the totals of /metrics are 61 s behind" in late.message
    state["behind"] = False
    look()
    assert len(counted) == 3
    state["behind"] = True
    look()
    assert len(caplog.records) == 2, "it was not late meanwhile"


@pytest.mark.parametrize(
    ("error", "level"), [(StoreUnavailable("away"), logging.DEBUG), (KeyError("x"), logging.ERROR)]
)
def test_totals_that_cannot_be_counted_are_counted_later(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
) -> None:
    caplog.set_level(logging.DEBUG)

    def failing(*_given: Any) -> None:
        raise error

    moments = iter([100.0, 101.0, 200.0, 202.0, 300.0, 310.0])
    monkeypatch.setattr(totals, "count", failing)
    monkeypatch.setattr("headrace.engine.operations.totals.time.monotonic", lambda: next(moments))
    clock = Clock()
    database: Any = FakeDatabase()
    made = Totals(database, clock)

    rests = []
    for _ in range(3):
        made._count(NOW)
        rests.append(made._next - clock.now)

    assert rests == [25.0, 50.0, 60.0]
    assert {record.levelno for record in caplog.records} == {level}


# -- before workers start -------------------------------------------------------------------------


_EACH = "3 for each worker"


@pytest.mark.parametrize(
    ("demand", "words"),
    [
        (Demand(1), "1 worker needs 3 connections (3 for each worker)"),
        (Demand(1, 2), "1 worker of 2 jobs at a time needs 4 connections (4 for each worker)"),
        (Demand(2, 2), "2 workers of 2 jobs at a time need 8 connections (4 for each worker)"),
        (
            Demand(1, 1, 9),
            f"1 worker, daemon and web service need 12 connections ({_EACH}, 9 for the others)",
        ),
    ],
)
def test_what_is_about_to_start_says_what_it_needs(demand: Demand, words: str) -> None:
    assert str(demand) == words


def limits(most: int, used: int) -> FakeDatabase:
    wide = {"most": 100, "used": 0, "place": "the server"}
    return FakeDatabase(
        {"connection_limits": [wide, {"most": most, "used": used, "place": "the role"}]}
    )


def test_workers_start_as_long_as_there_are_connections_for_them() -> None:
    require_connections(limits(3, 0), Demand(1))
    require_connections(limits(4, 1), Demand(1))
    with pytest.raises(ConfigError, match="the role allows 2; start fewer workers"):
        require_connections(limits(2, 0), Demand(1))
    with pytest.raises(StoreUnavailable, match="the role has 2 of 3 left"):
        require_connections(limits(3, 1), Demand(1))
    with pytest.raises(StoreUnavailable, match="the role has 0 of 3 left"):
        require_connections(limits(3, 5), Demand(1))


# -- progress, and what earlier versions left -----------------------------------------------------


class Progress:
    """A sender that knows how far two jobs have got."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.away = False

    def progress_of(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        self.asked.append(ids)
        if self.away:
            raise QueueUnavailable("away", "silent")
        return {"1": {"attempt": 2, "rows": 5}, "2": {"attempt": 1, "rows": 6}}


def test_progress_is_shown_of_the_attempt_that_runs() -> None:
    sender: Any = Progress()
    jobs = [
        {"id": "1", "status": "started", "attempt": 2},
        {"id": "2", "status": "started", "attempt": 2},
        {"id": "3", "status": "completed", "attempt": 1},
    ]

    shown = with_progress(sender, jobs)

    assert [row["progress"] for row in shown] == [{"attempt": 2, "rows": 5}, None, None]
    assert sender.asked == [["1", "2"]]
    with_progress(sender, jobs[2:])
    assert len(sender.asked) == 1, "of what does not run nobody is asked"
    sender.away = True
    assert [row["progress"] for row in with_progress(sender, jobs)] == [None] * 3


@pytest.mark.parametrize("error", [StoreUnavailable("away"), QueueUnavailable("away", "silent")])
def test_messages_of_an_earlier_version_wait_for_servers_that_are_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    caplog.set_level(logging.DEBUG)

    def failing(*_given: Any) -> int:
        raise error

    database: Any = FakeDatabase()
    monkeypatch.setattr(former_messages, "remove_former", failing)
    remove_former_messages(database, "redis://x", ["low"])
    assert "away; messages of an earlier version stay in Redis" in caplog.text

    for removed, told in ((0, False), (3, True)):
        caplog.clear()
        monkeypatch.setattr(former_messages, "remove_former", lambda *_given, n=removed: n)
        remove_former_messages(database, "redis://x", ["low"])
        assert ("removed 3 messages of an earlier version" in caplog.text) == told
