"""Load and faults at random, from one seed: what `bench/chaos.py` runs for minutes on end."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from redis.exceptions import RedisError

from headrace.errors import HeadraceError
from headrace.store import embedded
from tests.support.cluster import Cluster, effect_job
from tests.support.processes import Process, wait_until
from tests.support.real_work import SAYING_JOB, statement

PIPELINE = """
name: {name}
schedule: {{interval: 2s, catchup: all, catchup_window: 1h}}
steps:
  - {{id: first, job: {effect}}}
  - {{id: left, job: {effect}, depends_on: [first]}}
  - {{id: right, job: {effect}, depends_on: [first], with: {{hold_s: 0.02}}}}
  - {{id: last, job: {effect}, depends_on: [left, right]}}
  - {{id: always, job: {effect}, depends_on: [last], trigger_rule: all_done}}
"""


class Load:
    """Dispatches without a pause: single jobs, chains, fans, retries, cancellations."""

    def __init__(
        self,
        cluster: Cluster,
        seed: int,
        *,
        backlog: int = 300,
        targets: Sequence[str] = (),
        journal: Path | None = None,
    ) -> None:
        """`targets` are connections that have a table of effects; `journal` is for `spoken.py`."""
        self._cluster = cluster
        self._targets = targets
        self._journal = journal
        self._rng = random.Random(f"load {seed}")
        self._backlog = backlog
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.dispatched: list[str] = []
        self.refused = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        shapes = (
            self._single,
            self._single,
            self._chain,
            self._fan,
            self._bulk,
            self._short,
            self._intervene,
            *((self._elsewhere, self._elsewhere) if self._targets else ()),
            *((self._statements, self._appends) if self._targets else ()),
            *((self._speak,) if self._journal else ()),
        )
        while not self._stop.is_set():
            try:
                self._rng.choice(shapes)()
                self._wait_for_room()
            except HeadraceError:
                # PostgreSQL is away: nothing was promised, nothing can be lost.
                self.refused += 1
                self._stop.wait(0.2)

    def _wait_for_room(self) -> None:
        while not self._stop.wait(0.02):
            rows = self._cluster.headrace.database.rows("open_counts")
            if sum(row["jobs"] for row in rows) < self._backlog:
                return

    def _dispatch(self, name: str, *below: str, **payload: object) -> str:
        queue = self._rng.choice(("high", "medium", "low"))
        job = self._cluster.dispatch(
            name, with_=payload, queue=queue, depends_on=list(below), retry={"delay": "1s"}
        )
        self.dispatched.append(job)
        return job

    def _dispatch_many(self, job: str, payloads: list[dict[str, Any]]) -> None:
        self.dispatched += self._cluster.headrace.dispatcher.dispatch_many(job, payloads)

    def _single(self) -> None:
        rng = self._rng
        name = rng.choice(("EffectJob", "EffectJob", "NoopJob", "FailOnceEffectJob"))
        hold = {"hold_s": rng.choice((0, 0.01, 0.2, 1.0))} if name == "EffectJob" else {}
        self._dispatch(name, **hold)

    def _chain(self) -> None:
        last = self._dispatch("EffectJob")
        for _ in range(self._rng.randint(2, 6)):
            last = self._dispatch(self._rng.choice(("EffectJob", "NoopJob")), last)

    def _fan(self) -> None:
        first = self._dispatch("EffectJob")
        middle = [self._dispatch("EffectJob", first) for _ in range(self._rng.randint(2, 12))]
        self._dispatch("EffectJob", *middle)

    def _bulk(self) -> None:
        payloads = [{"hold_s": self._rng.choice((0, 0, 0.01))} for _ in range(20)]
        self._dispatch_many(effect_job("EffectJob"), payloads)

    def _short(self) -> None:
        """Jobs that share commits, and a few among them that leave an effect."""
        payloads = [{"n": n, "tag": self._rng.choice(("", "", "", "x"))} for n in range(60)]
        self._dispatch_many(effect_job("ShortJob"), payloads)

    def _elsewhere(self) -> None:
        """A chain through the targets and back: effects in three databases."""
        last = self._dispatch("EffectJob", connection=self._rng.choice(self._targets))
        last = self._dispatch("EffectJob", last)
        self._dispatch("EffectJob", last, connection=self._rng.choice(self._targets))

    def _statements(self) -> None:
        """Many RunSql jobs, some of them on targets, and jobs that log lines between them."""
        self._dispatch_many("RunSql", [statement(self._rng, self._targets) for _ in range(20)])
        self._dispatch_many(SAYING_JOB, [{} for _ in range(20)])

    def _appends(self) -> None:
        """RunSql jobs that share transactions, and here and there one that cannot."""
        payloads = [statement(self._rng, [], reads=0.03) for _ in range(60)]
        self._dispatch_many("RunSql", payloads)

    def _speak(self) -> None:
        """Jobs that log as they go, some of them past their timeout."""
        journal = str(self._journal)
        if self._rng.random() < 0.5:
            self._dispatch("SpeakingJob", hold_s=self._rng.uniform(0.5, 5), journal=journal)
        else:
            job = self._cluster.dispatch(
                "OverdueJob", with_={"journal": journal}, timeout=3, retry={"delay": "1s"}
            )
            self.dispatched.append(job)

    def _intervene(self) -> None:
        if not self.dispatched:
            return
        job = self._rng.choice(self.dispatched[-50:])
        with suppress(HeadraceError):
            self._cluster.headrace.interventions.cancel_job(job)
        if self._rng.random() < 0.7:
            with suppress(HeadraceError):
                self._cluster.headrace.interventions.retry_job(job)


@dataclass
class Kill:
    """A kill, and the attempts that it hit."""

    kind: str
    at: float
    held: list[tuple[str, int]]


@dataclass
class Faults:
    """Does one thing after another to the cluster, and has what died started again."""

    cluster: Cluster
    home: Path
    seed: int
    workers: int = 3
    daemons: int = 2
    counts: Counter[str] = field(default_factory=Counter)
    # When PostgreSQL did not answer, from and to, in seconds since 1970.
    outages: list[tuple[float, float]] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"faults {self.seed}")
        self._paused: list[tuple[float, Process]] = []
        # What happens, and how often in comparison.
        self._menu: dict[str, tuple[int, Callable[[], bool]]] = {
            "child killed": (30, self._kill_child),
            "worker killed": (8, self._kill_worker),
            "daemon killed": (5, self._kill_daemon),
            "worker paused": (4, self._pause_worker),
            "daemon paused": (3, self._pause_daemon),
            "worker drained": (3, self._drain_worker),
            "connections cut": (8, self._cut_connections),
            "Redis emptied": (5, self._flush),
            "Redis killed, back empty": (2, self._restart_redis),
            "PostgreSQL killed, restarted": (2, self._restart_postgres),
        }

    def keep_up(self) -> None:
        """Start what is missing, wake what has slept long enough."""
        now = time.monotonic()
        for until, process in [entry for entry in self._paused if entry[0] <= now]:
            self._paused.remove((until, process))
            if process.popen.poll() is None:
                process.resume()
        for role, wanted in (("worker", self.workers), ("daemon", self.daemons)):
            for _ in range(wanted - len(self.living(role))):
                self.cluster.worker(2) if role == "worker" else self.cluster.daemon()

    def strike(self) -> None:
        """Do one thing."""
        names = list(self._menu)
        name = self._rng.choices(names, [self._menu[name][0] for name in names])[0]
        with suppress(psycopg2.Error, RedisError, ProcessLookupError):
            if self._menu[name][1]():
                self.counts[name] += 1

    def end(self) -> None:
        """Wake everything, and let it all run undisturbed."""
        for _, process in self._paused:
            if process.popen.poll() is None:
                process.resume()
        self._paused.clear()
        self.keep_up()

    def living(self, role: str) -> list[Process]:
        return [
            one for one in self.cluster.started if one.role == role and one.popen.poll() is None
        ]

    # -- the faults -------------------------------------------------------------------

    def _one(self, role: str) -> Process | None:
        awake = [one for one in self.living(role) if one not in [p for _, p in self._paused]]
        return self._rng.choice(awake) if awake else None

    def _held(self, worker: Process) -> list[tuple[str, int]]:
        rows = self.cluster.sql(
            "SELECT id::text, attempt FROM headrace.job j WHERE status = 'started' AND worker IN"
            " (SELECT name FROM headrace.worker WHERE pid = %s)",
            worker.pid,
        )
        return [(row["id"], row["attempt"]) for row in rows]

    def _kill_child(self) -> bool:
        worker = self._one("worker")
        children = worker.children() if worker else []
        if worker is None or not children:
            return False
        held = self._held(worker)
        os.kill(self._rng.choice(children), signal.SIGKILL)
        self.kills.append(Kill("child", time.time(), held))
        return True

    def _kill_worker(self) -> bool:
        worker = self._one("worker")
        if worker is None:
            return False
        held = self._held(worker)
        worker.kill()
        self.kills.append(Kill("worker", time.time(), held))
        return True

    def _kill_daemon(self) -> bool:
        daemon = self._one("daemon")
        if daemon:
            daemon.kill()
        return daemon is not None

    def _pause(self, role: str) -> bool:
        process = self._one(role)
        if process is None or len(self._paused) > 1:
            return False
        process.pause()
        self._paused.append((time.monotonic() + self._rng.uniform(0.5, 8), process))
        return True

    def _pause_worker(self) -> bool:
        return self._pause("worker")

    def _pause_daemon(self) -> bool:
        return self._pause("daemon")

    def _drain_worker(self) -> bool:
        worker = self._one("worker")
        if worker:
            worker.signal(signal.SIGTERM)
        return worker is not None

    def _cut_connections(self) -> bool:
        return bool(
            self.cluster.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'headrace:%%' AND pid <> pg_backend_pid()"
                " ORDER BY random() LIMIT %s",
                self._rng.randint(1, 6),
            )
        )

    def _flush(self) -> bool:
        return bool(self.cluster.redis.flushall())

    def _restart_redis(self) -> bool:
        pid = self.cluster.redis.info("server")["process_id"]
        os.kill(pid, signal.SIGKILL)
        time.sleep(self._rng.uniform(0, 2))
        embedded.start(self.home)
        return True

    def _restart_postgres(self) -> bool:
        pid = int((self.home / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        began = time.time()
        os.kill(pid, signal.SIGQUIT)
        wait_until(lambda: embedded.find(self.home) is None, what="PostgreSQL's end")
        embedded.start(self.home)
        self.outages.append((began, time.time()))
        self.cluster.reconnect()
        return True
