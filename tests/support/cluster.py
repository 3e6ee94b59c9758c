"""Real daemons and workers as processes of their own, to be killed, paused and watched."""

import json
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras
import redis

from headrace.declarations.config import load_settings
from headrace.engine.application import Headrace, connect
from headrace.queue.keys import Keys
from headrace.queue.process import birth_ticks
from headrace.store.embedded import Servers
from tests.support import warm_python
from tests.support.invariants import check_invariants, install_audit
from tests.support.processes import Process, wait_until

ROOT = Path(__file__).resolve().parents[2]
# The tests' own jobs lie beside the tests.
_CONFIG = {"pipelines": "pipelines", "job_packages": ["tests"]}
FINAL = ("completed", "failed", "cancelled", "skipped")


def effect_job(name: str) -> str:
    """Return the dotted path of one of the tests' job classes."""
    return f"tests.support.jobs_effects.{name}"


@dataclass
class Cluster:
    """Daemons and workers on one database and one Redis, and eyes on them."""

    servers: Servers
    folder: Path
    headrace: Headrace
    environ: Mapping[str, str]
    started: list[Process] = field(default_factory=list)
    _looking: Any = None

    # -- processes --------------------------------------------------------------------

    def worker(self, processes: int = 1, *, env: Mapping[str, str] | None = None) -> Process:
        """Start a worker; it may not have begun to work when this returns."""
        return self._start("worker", processes, env or {})

    def daemon(self, *, env: Mapping[str, str] | None = None) -> Process:
        """Start a daemon."""
        return self._start("daemon", 1, env or {})

    def crash_at(self, point: str, *, parent: bool = False, stop: bool = False) -> dict[str, str]:
        """Return the environment in which the first process to come to `point` dies there.

        With `parent` its parent dies too; with `stop` they are paused by SIGSTOP instead.
        """
        once = self.folder / f"crashed-{point}-{len(self.started)}"
        environ = {"HEADRACE_CRASH_POINT": point, "HEADRACE_CRASH_ONCE": str(once)}
        if parent:
            environ["HEADRACE_CRASH_PARENT"] = "1"
        if stop:
            environ["HEADRACE_CRASH_SIGNAL"] = "STOP"
        return environ

    def wait_for_crash(self) -> None:
        """Wait until a process has come to the point that `crash_at` named."""
        wait_until(lambda: list(self.folder.glob("crashed-*")), what="the crash")

    def _start(self, role: str, processes: int, env: Mapping[str, str]) -> Process:
        log = self.folder / f"{role}-{len(self.started)}.log"
        with log.open("wb") as out:
            popen = warm_python.start(
                ["tests.support.process", role, str(processes)],
                cwd=ROOT,
                env={**self.environ, **env},
                stdout=out,
                stderr=out,
            )
        process = Process(popen, log, role)
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End all that was started here, the paused ones too."""
        for process in self.started:
            if process.popen.poll() is None:
                for pid in (*process.children(), process.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        for process in self.started:
            process.popen.wait()
        if self._looking is not None:
            self._looking.close()
        self.headrace.close()

    # -- work -------------------------------------------------------------------------

    def dispatch(self, name: str, /, **options: Any) -> str:
        """Dispatch one of the tests' jobs. `with_` is its payload."""
        payload = options.pop("with_", {})
        return self.headrace.dispatcher.dispatch(effect_job(name), payload, **options)

    def copy_effects(self, target_url: str) -> None:
        """Have the effects in a target database counted with the others."""
        target = psycopg2.connect(target_url)
        with target, target.cursor() as cursor:
            cursor.execute("SELECT job_id, attempt, tag FROM public.effect")
            for row in cursor.fetchall():
                self.sql(
                    "INSERT INTO public.effect (job_id, attempt, tag, elsewhere)"
                    " VALUES (%s, %s, %s, true)",
                    *row,
                )
        target.close()

    # -- eyes -------------------------------------------------------------------------

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Run SQL from outside, committed at once."""
        if self._looking is None or self._looking.closed:
            self._looking = psycopg2.connect(
                self.servers.database_url,
                cursor_factory=psycopg2.extras.RealDictCursor,
                client_encoding="UTF8",
            )
            self._looking.autocommit = True
        with self._looking.cursor() as cursor:
            cursor.execute(statement, values or None)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def reconnect(self) -> None:
        """Forget the line that looks from outside: its server was stopped."""
        if self._looking is not None:
            self._looking.close()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.sql("SELECT * FROM headrace.job WHERE id = %s", job_id)[0]

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """The attempts on record, which are those that did not complete."""
        return self.sql(
            "SELECT * FROM headrace.job_attempt WHERE job_id = %s ORDER BY attempt", job_id
        )

    def unsuccessful(self, *job_ids: str) -> list[str]:
        """The outcomes of attempts that began and did not complete.

        One that was claimed ahead and given back unbegun, because the job at hand took long, is no
        such attempt, though it has a number. A busy machine makes any job take long.
        """
        rows = self.sql(
            "SELECT outcome FROM headrace.job_attempt"
            " WHERE job_id = ANY (%s::uuid[]) AND outcome <> 'released' ORDER BY job_id, attempt",
            list(job_ids),
        )
        return [row["outcome"] for row in rows]

    def effects(self, job_id: str) -> int:
        return int(
            self.sql("SELECT count(*) AS n FROM public.effect WHERE job_id = %s", job_id)[0]["n"]
        )

    def wait_for_status(self, job_id: str, *statuses: str, limit_s: float = 15.0) -> dict[str, Any]:
        """Wait until the job has one of `statuses` and return its row."""
        try:
            wait_until(lambda: self.job(job_id)["status"] in statuses, limit_s=limit_s)
            return self.job(job_id)
        except AssertionError:
            row = self.job(job_id)
            raise AssertionError(
                f"job {row['job_class']} is {row['status']} (attempt {row['attempt']},"
                f" {row['error']}), not {statuses}, after {limit_s:g} s"
            ) from None

    def wait_for_attempt(self, job_id: str, attempt: int, *, limit_s: float = 15.0) -> None:
        wait_until(
            lambda: self.job(job_id)["attempt"] >= attempt,
            limit_s=limit_s,
            what=f"attempt {attempt}",
        )

    def wait_all_final(self, *, limit_s: float = 20.0) -> None:
        """Wait until no job or run is unfinished."""
        wait_until(
            lambda: (
                not self.sql(
                    "SELECT 1 FROM headrace.job WHERE status <> ALL (%s) UNION ALL"
                    " SELECT 1 FROM headrace.run WHERE status IN ('queued', 'running') LIMIT 1",
                    list(FINAL),
                )
            ),
            limit_s=limit_s,
            what="the end of every job",
        )

    def withdraw(self, pipeline: str, *, limit_s: float = 20.0) -> None:
        """Have its schedule start no further run, and wait for the end of all that have begun."""
        (self.folder / "pipelines" / f"{pipeline}.yaml").unlink()
        self.wait_for_no_schedule(pipeline, limit_s=limit_s)
        self.wait_all_final(limit_s=limit_s)

    def wait_for_no_schedule(self, pipeline: str, *, limit_s: float = 20.0) -> None:
        """Wait until the daemon has seen that a schedule is gone: it starts no run any more.

        Until then all may have ended and another run begin a moment later.
        """
        gone = "SELECT 1 FROM headrace.schedule WHERE pipeline = %s AND declared = ''"
        wait_until(
            lambda: self.sql(gone, pipeline), limit_s=limit_s, what="the daemon's look at the files"
        )

    def wait_for_worker(self, process: Process, *, limit_s: float = 15.0) -> str:
        """Wait until a worker has registered; returns its name."""

        def registered() -> str | None:
            rows = self.sql(
                "SELECT name FROM headrace.worker WHERE pid = %s AND birth_ticks = %s",
                process.pid,
                birth_ticks(process.pid) or 0,
            )
            return str(rows[0]["name"]) if rows and process.children() else None

        return str(wait_until(registered, limit_s=limit_s, what="the worker's registration"))

    def wait_for_leader(self, *, limit_s: float = 15.0) -> None:
        wait_until(
            lambda: self.sql("SELECT 1 FROM headrace.leader WHERE expires_at > clock_timestamp()"),
            limit_s=limit_s,
            what="a leader",
        )

    def wait_for_file(self, path: Path, *, limit_s: float = 15.0) -> None:
        wait_until(path.exists, limit_s=limit_s, what=f"the file {path.name}")

    def check(self, *, settled: bool = True) -> None:
        """Check every invariant."""
        check_invariants(self.servers.database_url, settled=settled)

    @property
    def keys(self) -> Keys:
        """The names of the installation's keys in Redis."""
        return self.headrace.keys

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.servers.redis_url)


def _without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if not name.startswith(("HEADRACE_", "JOB_"))
    }


@contextmanager
def cluster_on(
    servers: Servers,
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Yield a cluster on a migrated database; nothing is started yet.

    `config` becomes the `config.yaml` (JSON is YAML), `env` goes to every process.
    """
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(json.dumps({**_CONFIG, **(config or {})}))
    environ = {
        **_without_settings(os.environ),
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "HEADRACE_CONFIG": str(folder / "config.yaml"),
        "HEADRACE_HOME": str(folder / "home"),
        "HEADRACE_GRACE": "2",
        "JOB_RETRY_INTERVAL": "1",
        "PYTHONPATH": str(ROOT),
        **(env or {}),
    }
    install_audit(servers.database_url)
    cluster = Cluster(servers, folder, connect(load_settings(environ), role="tests"), environ)
    try:
        yield cluster
    finally:
        cluster.stop()
