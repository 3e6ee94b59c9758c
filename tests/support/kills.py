"""Kills the worker in the midst of writes, from one seed, while readers look at their tables."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2

from headrace.store.embedded import Servers
from tests.support.all_writes import all_writes
from tests.support.cluster import FINAL, Cluster, cluster_on
from tests.support.http import Answered, http_server
from tests.support.places import PASSWORD, Server
from tests.support.processes import Process, wait_until
from tests.support.writes import HERE, OTHER, Query, Rows, State, Write

# Of twenty processes side by side, on a machine that has other work to do.
_START_S = 240.0
_SETTLE_S = 600.0


class Databases:
    """One connection to each place, on which every statement commits by itself."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._open: dict[str, Any] = {}
        for place, url in urls.items():
            self._open[place] = psycopg2.connect(url, client_encoding="UTF8")
            self._open[place].autocommit = True

    def close(self) -> None:
        for connection in self._open.values():
            connection.close()

    def run(self, queries: Sequence[Query]) -> None:
        for place, statements in queries:
            with self._open[place].cursor() as cursor:
                cursor.execute(statements)

    def state(self, queries: Sequence[Query]) -> State:
        found: State = []
        for place, query in queries:
            with self._open[place].cursor() as cursor:
                cursor.execute(query)
                found += cursor.fetchall()
        return found


@dataclass
class Checked:
    """A write whose states are known, and what readers have seen of it."""

    name: str
    write: Write
    folder: Path
    before: State
    after: State
    looks: int = 0
    wrong: list[str] = field(default_factory=list)
    exported: bytes = b""

    def look(self, databases: Databases) -> None:
        """Look as a reader does, at any moment."""
        self.looks += 1
        if self.write.exports is not None:
            self._look_at_files(self.write.exports)
        if not self.write.looks:
            return
        state = databases.state(self.write.looks)
        if state not in (self.before, self.after) and not self.write.between(state):
            self.wrong.append(f"{self.name}: a reader saw {state}")

    def _look_at_files(self, pattern: str) -> None:
        for path in self.folder.glob(pattern):
            content = path.read_bytes().partition(b"\n")[2]
            if self.write.records:
                whole = self.write.records.issuperset(content.splitlines())
            else:
                whole = content == self.exported if pattern.startswith("one") else True
                whole = whole and content in self.exported
            if not (whole and content.endswith(b"\n")):
                self.wrong.append(f"{self.name}: a reader saw a part of {path.name}")

    def clear(self) -> None:
        """Remove the files whose names are others in each run."""
        for path in self.folder.glob(self.write.exports or "") if self.write.records else ():
            path.unlink()

    def check(self, databases: Databases) -> None:
        """Compare with what must be there in the end."""
        if self.write.looks:
            state = databases.state(self.write.looks)
            if state != self.after:
                self.wrong.append(f"{self.name}: in the end {state}, not {self.after}")
        if self.write.exports is None:
            return
        paths = sorted(self.folder.glob(self.write.exports))
        found = b"".join(path.read_bytes().partition(b"\n")[2] for path in paths)
        if self.write.records:
            lines = found.splitlines()
            right = len(lines) == len(self.write.records) == len(self.write.records & {*lines})
        else:
            right = found == self.exported
        if not right:
            self.wrong.append(
                f"{self.name}: the files hold {len(found)} bytes, not {len(self.exported)}"
            )
        if left := list(self.folder.glob(".*.part")):
            self.wrong.append(f"{self.name}: {left[0].name} was left behind")


class Kills:
    """Rounds in which all writes run, and the worker dies at a moment of each."""

    def __init__(
        self, cluster: Cluster, urls: Mapping[str, str], writes: Mapping[str, Write],
        exported: bytes, seed: int,
    ) -> None:  # fmt: skip
        self._cluster, self._urls, self._exported = cluster, urls, exported
        self._rng = random.Random(f"kills {seed}")
        self._databases = Databases(urls)
        self._worker: Process | None = None
        self.hit: Counter[str] = Counter()
        self.rounds = 0
        self.writes = [self._checked(name, write) for name, write in writes.items()]
        # How long each one waits until it begins, and how long it then takes.
        self._phases_s = dict.fromkeys(writes, (0.0, 1.0))

    def _checked(self, name: str, write: Write) -> Checked:
        self._databases.run(write.prepare)
        before, after = (self._databases.state(each) for each in (write.before, write.after))
        folder = self._cluster.folder / "exports"
        return Checked(name, write, folder, before, after, exported=self._exported)

    def close(self) -> None:
        self._databases.close()

    @property
    def wrong(self) -> list[str]:
        return [one for write in self.writes for one in write.wrong]

    def calm_round(self) -> None:
        """Run each write without a kill, to know how long it takes beside the others."""
        self._round(kill=False)

    def round(self) -> None:
        """Kill the worker once; each write is at a moment of its own then."""
        self._round(kill=True)
        self.rounds += 1

    def _round(self, *, kill: bool) -> None:
        for one in self.writes:
            self._databases.run(one.write.reset)
            one.clear()
        worker = self._worker = self._worker or self._started()
        with self._readers():
            jobs = self._dispatched(kill=kill)
            if kill:
                worker.kill()
                self._worker = self._started()
            self._settle(jobs)
        for one in self.writes:
            one.check(self._databases)
        self._note(jobs)

    def _started(self) -> Process:
        worker = self._cluster.worker(len(self.writes))
        wait_until(lambda: len(worker.children()) >= len(self.writes), limit_s=_START_S)
        return worker

    def _dispatched(self, *, kill: bool) -> dict[str, str]:
        """Dispatch all writes, each so long before the kill as it is to have run by then."""
        moments = {one.name: self._moment_s(one.name) if kill else 0.0 for one in self.writes}
        began, longest, jobs = time.monotonic(), max(moments.values()), {}
        for one in sorted(self.writes, key=lambda one: -moments[one.name]):
            _sleep_until(began + longest - moments[one.name])
            jobs[one.name] = self._cluster.headrace.dispatcher.dispatch(
                one.write.job, dict(one.write.with_), retry={"limit": 5, "delay": "1s"}
            )
        _sleep_until(began + longest)
        return jobs

    def _moment_s(self, name: str) -> float:
        """Draw how long after its dispatch a write is killed."""
        waits, takes = self._phases_s[name]
        return waits + self._rng.random() * takes

    def _settle(self, jobs: Mapping[str, str]) -> None:
        wait_until(
            lambda: all(self._cluster.job(job)["status"] in FINAL for job in jobs.values()),
            limit_s=_SETTLE_S,
            what="the end of all writes",
        )
        for one in self.writes:
            row = self._cluster.job(jobs[one.name])
            if row["status"] != "completed":
                one.wrong.append(f"{one.name} is {row['status']}: {row['error']}")

    def _note(self, jobs: Mapping[str, str]) -> None:
        for name, job in jobs.items():
            row = self._cluster.job(job)
            if row["crash_count"]:
                self.hit[name] += 1
            else:
                moments = row["created_at"], row["started_at"], row["finished_at"]
                waits, takes = (late - early for early, late in pairwise(moments))
                self._phases_s[name] = waits.total_seconds(), takes.total_seconds()

    @contextmanager
    def _readers(self) -> Iterator[None]:
        stop, broken = threading.Event(), list[BaseException]()
        thread = threading.Thread(target=_catching(self._read, broken), args=(stop,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if broken:
            raise broken[0]

    def _read(self, stop: threading.Event) -> None:
        with closing(Databases(self._urls)) as databases:
            while not stop.is_set():
                for one in self.writes:
                    one.look(databases)
                stop.wait(0.1)


def _catching(work: Callable[..., None], broken: list[BaseException]) -> Callable[..., None]:
    def caught(*arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised where the round ends
            broken.append(error)

    return caught


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


@contextmanager
def kills_on(
    servers: Servers, other: Server, folder: Path, *, rows: int, seed: int, only: str = ""
) -> Iterator[tuple[Cluster, Kills]]:
    """Yield a cluster with a daemon, and the writes with their tables and files."""
    other.execute(f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'")
    other.execute("CREATE DATABASE written OWNER writer")
    urls = {HERE: servers.database_url, OTHER: other.url_for("written", "writer")}
    made = Rows(rows)
    with ExitStack() as stack:
        http = stack.enter_context(http_server())
        config = {
            "connections": {OTHER: urls[OTHER]},
            "http": {"allowed_hosts": [f"127.0.0.1:{http.port}"]},
        }
        # A dead worker of this host is noticed at once; one that lives may be silent for long.
        env = {"HEADRACE_LEASE_S": "60", "JOB_MAX_RETRIES": "5"}
        cluster = stack.enter_context(cluster_on(servers, folder, config=config, env=env))
        pipelines = folder / "pipelines"
        http.routes["/new"] = Answered(made.write_files(pipelines))
        exported = (pipelines / "new.csv").read_bytes().partition(b"\n")[2]
        found = all_writes(made, pipelines, http.url("/new"))
        writes = {name: write for name, write in found.items() if only in name}
        cluster.daemon()
        cluster.wait_for_leader()
        yield cluster, stack.enter_context(closing(Kills(cluster, urls, writes, exported, seed)))
