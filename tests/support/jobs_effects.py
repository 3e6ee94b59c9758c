"""Jobs whose effects can be counted: one row each in the table `effect`, and none too many."""

import ctypes
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from headrace import jobapi
from headrace.jobs import BaseJob
from headrace.jobs.base import logger

_INSERT = text("INSERT INTO public.effect (job_id, attempt, tag) VALUES (:id, :attempt, :tag)")


def _leave_effect(job: BaseJob, tag: str) -> None:
    attempt = jobapi.current()
    with job.session() as session:
        session.execute(_INSERT, {"id": attempt.job_id, "attempt": attempt.attempt, "tag": tag})


def wait_for_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


class EffectJob(BaseJob):
    """Leaves one row, then takes `hold_s` seconds before it returns."""

    def __init__(self, tag: str = "", hold_s: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tag, self.hold_s = tag, hold_s

    def handle(self) -> Any:
        _leave_effect(self, self.tag)
        if self.hold_s:
            time.sleep(self.hold_s)
        return {"tag": self.tag}


class HeldEffectJob(BaseJob):
    """Leaves one row, says so by the file `reached`, and goes on once `go` exists.

    Only the first attempt waits, so that a second one gets through.
    """

    def __init__(self, reached: str, go: str, tag: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reached, self.go, self.tag = reached, go, tag

    def handle(self) -> Any:
        _leave_effect(self, self.tag)
        if jobapi.current().attempt == 1:
            Path(self.reached).touch()
            wait_for_file(self.go)


class HeldJob(BaseJob):
    """Touches no database: says by `reached` that it runs, and ends once `go` exists."""

    def __init__(self, reached: str, go: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reached, self.go = reached, go

    def handle(self) -> Any:
        Path(self.reached).touch()
        wait_for_file(self.go)


class DeafEffectJob(BaseJob):
    """Swallows whatever its database says, and returns as if nothing had happened."""

    def __init__(self, reached: str, go: str, tag: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reached, self.go, self.tag = reached, go, tag

    def handle(self) -> Any:
        _leave_effect(self, self.tag)
        if jobapi.current().attempt > 1:
            return
        Path(self.reached).touch()
        wait_for_file(self.go)
        try:
            with self.session() as session:
                session.execute(text("SELECT 1"))
        except BaseException:  # noqa: BLE001 - this is what is tested
            return


class NoopJob(BaseJob):
    """Does nothing."""

    def handle(self) -> Any:
        return None


class ShortJob(BaseJob):
    """Returns `n` at once; but with `reached` it waits for `go`, with `tag` it leaves one row.

    With `lines` it says so many lines first.
    """

    def __init__(
        self,
        n: int = 0,
        reached: str = "",
        go: str = "",
        tag: str = "",
        lines: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n, self.reached, self.go, self.tag, self.lines = n, reached, go, tag, lines

    def handle(self) -> Any:
        for line in range(self.lines):
            logger.info("%d says %d", self.n, line)
        if self.reached:
            Path(self.reached).touch()
            wait_for_file(self.go)
        if self.tag:
            _leave_effect(self, self.tag)
        return self.n


class OrderJob(BaseJob):
    """Returns when it ran, in nanoseconds of the monotonic clock."""

    def handle(self) -> Any:
        return time.monotonic_ns()


class FailOnceEffectJob(BaseJob):
    """Fails at its first `times` attempts, after its effect, and succeeds then."""

    def __init__(self, times: int = 1, tag: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.times, self.tag = times, tag

    def handle(self) -> Any:
        _leave_effect(self, self.tag)
        if jobapi.current().attempt <= self.times:
            raise RuntimeError("not yet")


class SegfaultJob(BaseJob):
    """Reads address 0."""

    def handle(self) -> Any:
        ctypes.string_at(0)


class MemoryHogJob(BaseJob):
    """Takes memory until it is stopped."""

    def handle(self) -> Any:
        taken = []
        while True:
            taken.append(bytearray(8 << 20))
            time.sleep(0.002)


class EndlessJob(BaseJob):
    """Loops without end, while a thread of its own waits."""

    def handle(self) -> Any:
        threading.Thread(target=_wait_beside, daemon=True).start()
        while True:
            pass


def _wait_beside() -> None:
    threading.Event().wait()


class StubbornJob(BaseJob):
    """Catches everything that Python can raise, and goes on; its own process does too."""

    def __init__(self, pid_file: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pid_file = pid_file

    def handle(self) -> Any:
        child = os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
        Path(self.pid_file).write_text(f"{os.getpid()} {child}")
        while True:
            try:
                time.sleep(600)
            except BaseException:  # noqa: BLE001 - this is what is tested
                continue


class DetachingJob(BaseJob):
    """Starts two sleepers in sessions of their own, the second one an orphan at once.

    Their pids are lines of `pid_file`. Its first attempt ends once `go` exists, others at once.
    """

    def __init__(self, pid_file: str, go: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pid_file, self.go = pid_file, go

    def handle(self) -> Any:
        if jobapi.current().attempt > 1:
            return
        sleep = 'echo $$ >> "$0"; exec sleep 120'
        subprocess.Popen(["sh", "-c", sleep, self.pid_file], start_new_session=True)
        twice = ["sh", "-c", 'setsid sh -c "$1" "$0" &', self.pid_file, sleep]
        subprocess.run(twice, check=True)
        wait_for_file(self.go)


class PoisonJob(BaseJob):
    """Kills its own process, or with `parent` the whole worker."""

    def __init__(self, parent: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parent = parent

    def handle(self) -> Any:
        os.kill(os.getppid() if self.parent else os.getpid(), signal.SIGKILL)
        time.sleep(60)


class SlowSqlJob(BaseJob):
    """Keeps the server busy for a minute."""

    def __init__(self, reached: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reached = reached

    def handle(self) -> Any:
        with self.session() as session:
            session.execute(text("SELECT 1"))
            Path(self.reached).touch()
            session.execute(text("SELECT pg_sleep(60) /* headrace slow */"))


class DispatchingJob(BaseJob):
    """Dispatches an EffectJob in its own transaction, then fails or returns."""

    def __init__(self, fail: bool = False, tag: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fail, self.tag = fail, tag

    def handle(self) -> Any:
        with self.session() as session:
            dispatched = EffectJob.dispatch(tag=self.tag, session=session)
        if self.fail:
            raise RuntimeError("undone, the dispatch too")
        return dispatched


class OddResultJob(BaseJob):
    """Leaves an effect and returns what PostgreSQL's jsonb has no place for."""

    def __init__(self, tag: str = "", effect: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.tag, self.effect = tag, effect

    def handle(self) -> Any:
        if self.effect:
            _leave_effect(self, self.tag)
        return {"n": [float("nan"), float("-inf")], "text": "a\0b\ud800", 1: 2}


class LargeResultJob(BaseJob):
    """Leaves an effect and returns 3 MB, as one text or as rows."""

    def __init__(self, rows: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rows = rows

    def handle(self) -> Any:
        _leave_effect(self, "")
        rows = [["x" * 1000]] * 3000
        return {"rows": rows, "row_count": len(rows)} if self.rows else "x" * 3_000_000


class SpeakingJob(BaseJob):
    """Says a line with its time every `every_s` seconds, for `hold_s` seconds: `spoken 17 1764…`.

    Says so in several ways by turns; with `reached` the file is there after the first line. In the
    folder `journal` a file for each attempt tells what was said, for `tests/support/spoken.py`.
    """

    def __init__(
        self,
        every_s: float = 0.2,
        hold_s: float = 2.0,
        reached: str = "",
        journal: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.every_s, self.hold_s, self.reached = every_s, hold_s, reached
        self.journal = journal

    def handle(self) -> Any:
        ways = (logger.info, print, lambda line: os.write(1, f"{line}\n".encode()))
        began = time.monotonic()
        number = 0
        while time.monotonic() - began < self.hold_s:
            number += 1
            ways[number % len(ways)](f"spoken {number} {time.time():.3f}")
            self._note(number)
            if self.reached:
                Path(self.reached).touch()
            time.sleep(self.every_s)
        return number

    def _note(self, number: int) -> None:
        if self.journal:
            attempt = jobapi.current()
            name = f"{attempt.job_id}_{attempt.attempt}"
            with (Path(self.journal) / name).open("a") as file:
                file.write(f"{number} {time.time()}\n")


class OverdueJob(SpeakingJob):
    """Speaks as that one does without an end: give it a timeout. A second attempt ends at once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"hold_s": 3600.0, **kwargs})

    def handle(self) -> Any:
        return super().handle() if jobapi.current().attempt == 1 else None


class EnqueueElsewhereJob(BaseJob):
    """Uses RQ for a queue of another application, as its author would anywhere."""

    def __init__(self, redis_url: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.redis_url = redis_url

    def handle(self) -> Any:
        import redis
        from rq import Queue

        Queue("theirs", connection=redis.Redis.from_url(self.redis_url)).enqueue("os.getcwd")
        return os.environ.get("RQ_KEY_PREFIX")


class IdleJob(BaseJob):
    """Begins its transaction, waits without a word to the server, and goes on."""

    def __init__(self, seconds: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds

    def handle(self) -> Any:
        with self.session() as session:
            session.execute(text("SELECT 1"))
            time.sleep(self.seconds)
            return session.execute(text("SELECT 2")).scalar_one()
