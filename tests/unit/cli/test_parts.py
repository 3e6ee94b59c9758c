"""The parts of `up`: when one is started again, how it all ends, and what is said at the start."""

import logging
import os
import signal
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli import services
from headrace.cli.installation_access import known_queues
from headrace.cli.resolved_pipeline import _is_block, _text, _value, yaml_with_comments
from headrace.cli.run_client import RunClient
from headrace.cli.supervisor import Part, Supervisor
from headrace.errors import ConfigError, HeadraceError, StoreUnavailable


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr("headrace.cli.supervisor.time.monotonic", lambda: clock[0])
    return clock


def ended(one: Supervisor, part: Part, code: int) -> None:
    part.code = code
    one._ended(part)


def test_a_part_that_ends_is_started_again_after_pauses_that_grow_until_it_lives_long(
    now: list[float], caplog: pytest.LogCaptureFixture
):
    part = Part("worker 1", lambda: 0)
    one = Supervisor([part])
    pauses = []
    for _ in range(8):
        part.born = now[0]
        ended(one, part, 1)
        assert part.code is None
        pauses.append(part.start_at - now[0])
        assert one._pause() == pauses[-1]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    part.born = now[0] - 60.0
    ended(one, part, -9)
    assert part.start_at - now[0] == 30.0
    part.born = now[0] - 60.1
    ended(one, part, 0)
    assert part.start_at - now[0] == 0.5
    assert one._code is None
    assert caplog.messages[0] == "worker 1 has exited (exit code 1); restarting it in 0.5 s"
    assert caplog.messages[-2:] == [
        "worker 1 has exited (signal SIGKILL); restarting it in 30 s",
        "worker 1 has exited (exit code 0); restarting it in 0.5 s",
    ]
    now[0] += 5
    assert one._pause() == 0.0
    part.pid = 7
    assert one._pause() is None


@pytest.mark.parametrize(
    ("once", "code", "ends_with"),
    [(True, 0, 0), (True, 3, 3), (True, -9, 137), (False, 2, 2), (False, 1, None)],
)
def test_it_all_ends_with_a_part_that_is_there_once_or_could_never_start(
    once: bool, code: int, ends_with: int | None, now: list[float]
):
    part = Part("run", lambda: 0, once=once)
    one = Supervisor([part])
    ended(one, part, code)

    assert one._code == ends_with


class _Telling(logging.Handler):
    """Writes what is logged at once: processes that are killed have said it."""

    def __init__(self, pipe: int) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        os.write(self._pipe, f"{record.levelname}: {record.getMessage()}\n".encode())


def run_parts(*parts: Part, patience_s: float = 20.0) -> tuple[int, list[str]]:
    """Return the exit code of a supervisor in a process of its own, and what it has logged."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            log = logging.getLogger("headrace.up")
            log.handlers, log.propagate = [_Telling(writer)], False
            code = Supervisor(parts, patience_s=patience_s).run()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as said:
        lines = said.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), lines


def fail(error: BaseException) -> int:
    raise error


def test_a_part_s_life_gives_its_code():
    class Bad(HeadraceError):
        exit_code = 5

    def stopped() -> int:
        signal.pause()
        return 0

    def killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def once(live: Any) -> tuple[int, list[str]]:
        return run_parts(Part("run", live, once=True))

    assert once(lambda: None) == (0, [])
    assert once(lambda: 7) == (7, [])
    assert once(lambda: fail(Bad("x"))) == (5, ["ERROR: x"])
    assert once(lambda: fail(KeyboardInterrupt())) == (130, [])
    assert once(lambda: fail(ValueError())) == (1, ["ERROR: run failed"])
    assert once(killed) == (137, [])
    # The others are asked to end, and one that does not is killed.
    assert run_parts(Part("a", stopped), Part("run", lambda: 3, once=True)) == (3, [])

    def deaf() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return stopped()

    reader, writer = os.pipe()
    told = Part("a", lambda: os.write(writer, b"!") and deaf())
    waits = Part("run", lambda: 3 + len(os.read(reader, 1)), once=True)
    assert run_parts(told, waits, patience_s=0.2) == (4, ["WARNING: a does not exit; killed it"])
    os.close(reader)
    os.close(writer)


# -- the start ------------------------------------------------------------------------


def announced(*pipelines: Any, paused: tuple[str, ...] = ()) -> Any:
    rows = [{"pipeline": one, "paused": True} for one in paused]
    rows.append({"pipeline": "due", "paused": False})
    return SimpleNamespace(
        pipelines=SimpleNamespace(by_name={one.name: one for one in pipelines}),
        database=SimpleNamespace(rows=lambda _name: rows),
        close=lambda: None,
    )


def test_what_is_active_is_announced_with_when_it_is_due(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    now = datetime(2026, 7, 1, tzinfo=UTC)
    monkeypatch.setattr(services, "datetime", SimpleNamespace(now=lambda _zone: now))
    due = now + timedelta(minutes=3, seconds=5)
    starts = {"due": due, "held": due, "over": None, "by_hand": None}
    monkeypatch.setattr(
        "headrace.engine.scheduling.schedule_starts.next_start", lambda one, _now: starts[one.name]
    )
    listed = [
        SimpleNamespace(name=name, schedules=() if name == "by_hand" else (1,)) for name in starts
    ]
    with caplog.at_level(logging.INFO):
        services._announce(announced(*listed, paused=("held",)))
        told, caplog.handler.records[:] = caplog.messages, []
        services._announce(announced(*[SimpleNamespace(name=f"p{n}") for n in range(101)]))
        many = [record.getMessage() for record in caplog.handler.records]

    assert told == [
        "4 pipelines are active",
        f"  due                    next due {due.astimezone():%a %H:%M:%S} (in 3m 05s)",
        "  held                   is paused",
        "  over                   is no longer due",
        "  by_hand                starts manually",
    ]
    assert many == [
        "101 pipelines are active", "  `headrace schedules` shows when each is due next",
    ]  # fmt: skip


def test_a_database_that_is_away_is_waited_for_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    pauses: list[float] = []
    monkeypatch.setattr("headrace.cli.services.random.uniform", lambda _least, most: most)
    monkeypatch.setattr("headrace.cli.services.time.sleep", pauses.append)
    answers: list[Any] = [StoreUnavailable("away")] * 8

    def ask() -> None:
        if answers:
            raise answers.pop()

    services.once_there(ask)

    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
    assert caplog.messages == ["away; waiting for it"]


@pytest.mark.parametrize(
    ("listed", "found"),
    [(None, ("high", "low")), ("low", ("low",)), (" low ,high,,low", ("low", "high"))],
)
def test_queues_are_those_that_are_listed_once_each(listed: str | None, found: tuple[str, ...]):
    settings: Any = SimpleNamespace(queues=("high", "low"))

    assert known_queues(settings, listed) == found
    with pytest.raises(ConfigError, match='there is no queue "hihg"; did you mean "high"'):
        known_queues(settings, "low,hihg")
    with pytest.raises(ConfigError, match="--queues names no queue"):
        known_queues(settings, " , ")


# -- a run's client -------------------------------------------------------------------


def job(step: str, status: str, **more: Any) -> dict[str, Any]:
    known = {
        "id": step, "step": step, "status": status, "attempt": 1, "child_run": None,
        "child_started_at": None, "child_finished_at": None, "started_at": None,
        "finished_at": None, "next_retry_time": None,
    }  # fmt: skip
    return {**known, **more}


def test_a_run_s_client_says_each_change_once_and_errors_of_failed_steps(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("headrace.cli.run_client.time.strftime", lambda _form: "T")
    error = "\n".join(f"line {n}" for n in range(30))

    def row(_name: str, **of: str) -> dict[str, Any]:
        return {"error": error if of["id"] == "b" else None}

    headrace: Any = SimpleNamespace(database=SimpleNamespace(row=row))
    client = RunClient(headrace, SimpleNamespace(json=False))  # type: ignore[arg-type]
    client._run = SimpleNamespace(jobs={"b": job("bad", ""), "a": job("a", "")})  # type: ignore[assignment]

    news = [
        client._show([job("a", "queued"), job("b", "waiting")]),
        client._show([job("a", "queued")]),
        client._show([job("a", "waiting", child_run="R")]),
        client._show([job("a", "completed")]),
        client._show([job("b", "retrying")]),
        client._show([job("b", "started", attempt=2), job("b", "started", attempt=2)]),
    ]

    assert news == [True, False, True, True, True, True]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "T   a    waiting for run R", "T   a    completed",
        "T   b    retrying: attempt 1 failed, the next one in 0.00 s",
    ]  # fmt: skip
    assert lines[3:23] == [f"T     line {n}" for n in range(20)]
    assert lines[23:] == [
        "T     … 10 more lines: `headrace show b`",
        "T   b    started (attempt 2)",
    ]


@pytest.mark.parametrize(
    ("status", "error", "told", "hints"),
    [
        ("completed", None, "run R completed: 2 steps in 5.00 s", 0),
        ("failed", "bad failed", "run R failed: 2 steps in 5.00 s: bad failed", 2),
        ("cancelled", None, "run R cancelled: 2 steps in 5.00 s", 0),
    ],
)
def test_the_end_of_a_run_is_told_with_what_helps(
    status: str, error: str | None, told: str, hints: int, capsys: pytest.CaptureFixture[str]
):
    client = RunClient(SimpleNamespace(), SimpleNamespace(json=False))  # type: ignore[arg-type]
    client._id = "R"
    began = datetime.now(UTC)
    state = {
        "status": status, "error": error, "started_at": began,
        "finished_at": began + timedelta(seconds=5),
        "jobs": [job("a", "completed"), job("b", "skipped"), job("c", "started")],
    }  # fmt: skip

    client._conclude(state)

    out, err = capsys.readouterr()
    assert out.strip().endswith(told)
    assert err.count("`headrace ") == hints


def test_an_outage_is_said_once_while_it_lasts_and_a_run_that_is_gone_is_an_error(
    capsys: pytest.CaptureFixture[str],
):
    answers: list[Any] = [
        StoreUnavailable("away"), StoreUnavailable("away"), {"jobs": []}, StoreUnavailable("away"),
        None,
    ]  # fmt: skip

    def look() -> Any:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    headrace: Any = SimpleNamespace(with_progress=lambda jobs: jobs)
    client = RunClient(headrace, SimpleNamespace(json=False))  # type: ignore[arg-type]
    client._run = SimpleNamespace(look=look)  # type: ignore[assignment]

    assert [client._look() for _ in range(4)] == [None, None, {"jobs": []}, None]
    assert capsys.readouterr().err.splitlines() == ["away; waiting for it"] * 2
    with pytest.raises(HeadraceError, match="was deleted"):
        client._look()


# -- a pipeline as YAML ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text", "plain text"), ("", '""'), ("yes", "yes"), ("true", '"true"'),
        ("12", '"12"'), ("a: b", '"a: b"'), ("a ", '"a "'), ("é", '"é"'), ("a\nb", '"a\\nb"'),
        ("a\u202eb", '"a\\U0000202eb"'), ("x" * 999, "x" * 999), ("x" * 1000, f'"{"x" * 1000}"'),
        (5, "5"), (None, "null"), (True, "true"), ([1, "a b"], "[1, a b]"),
        ({"k": [1], "l m": "1"}, '{k: [1], l m: "1"}'),
    ],
)  # fmt: skip
def test_a_value_is_quoted_where_yaml_would_read_something_else(value: Any, shown: str):
    assert _value(value) == shown
    if isinstance(value, str):
        assert _text(value) == shown


@pytest.mark.parametrize(
    ("text", "is_block"),
    [
        ("a\nb", True), ("a\nb\n", True), ("a", False), ("a\n", False), ("a \nb", False),
        (" a\nb", False), ("\na", False), ("a\n\n", False), ("a\n\nb", True), ("a\n\tb", False),
    ],
)  # fmt: skip
def test_a_text_stands_in_lines_of_its_own_where_it_stays_the_same(text: str, is_block: bool):
    assert _is_block(text) is is_block


def leaf(value: Any, origin: str = "o") -> Any:
    return SimpleNamespace(value=value, origin=origin)


def test_a_pipeline_is_yaml_with_the_origins_in_one_column():
    tree: Any = {
        "name": leaf("p", "file:1"),
        "steps": [{"id": leaf("a"), "with": {"sql": leaf("SELECT 1\n  FROM x\n")}}, leaf(3)],
        "long": leaf("y" * 80),
        "text": leaf("a\nb"),
    }

    assert yaml_with_comments(tree) == [
        "name: p       # file:1",
        "steps:",
        "  - id: a     # o",
        "    with:",
        "      sql: |  # o",
        "        SELECT 1",
        "          FROM x",
        "  - 3         # o",
        f"long: {'y' * 80}  # o",
        "text: |-      # o",
        "  a",
        "  b",
    ]
