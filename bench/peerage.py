"""The systems under test, and their environments under `bench/.peers`."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from bench.contender import ROOT

ENVIRONMENTS = ROOT / "bench" / ".peers"
_PEERS = ROOT / "bench" / "peers"


@dataclass(frozen=True)
class Entry:
    """One line of the table: a system in one of its ways.

    `status` says what becomes of a job's status: `each` job's is committed in PostgreSQL by
    itself, `shared` with up to fifteen other short jobs, in `batches`, or `none` is.
    """

    key: str
    label: str
    name: str
    variant: str = ""
    status: str = "none"

    @property
    def python(self) -> Path:
        """The interpreter of its environment: our own where it needs no other."""
        if not (_PEERS / self.name / "requirements.txt").exists():
            return Path(sys.executable)
        return ENVIRONMENTS / self.name / "bin" / "python"


ENTRIES = (
    Entry("headrace", "**Headrace**", "headrace", status="shared"),
    Entry("headrace-1", "Headrace, `jobs_per_commit: 1`", "headrace", "1", "each"),
    Entry("rq-fork", "RQ 3.0, Worker (fork)", "rq", "fork"),
    Entry("rq-simple", "RQ 3.0, SimpleWorker", "rq", "simple"),
    Entry("celery", "Celery 5.7, no backend", "celery", "plain"),
    Entry("celery-pg", "Celery 5.7, PostgreSQL backend", "celery", "postgresql", "each"),
    Entry("procrastinate", "Procrastinate 3.10", "procrastinate", status="each"),
    Entry("pgqueuer-1", "PgQueuer 1.6, one job a query", "pgqueuer", "1", "each"),
    Entry("pgqueuer-10", "PgQueuer 1.6, batches of ten", "pgqueuer", "10", "batches"),
    Entry("dramatiq", "Dramatiq 2.2", "dramatiq"),
    Entry("huey", "Huey 3.5", "huey"),
    Entry("bare-2", "bare loop, two commits", "bare", "two-commits", "each"),
    Entry("bare-1", "bare loop, one commit, no Redis", "bare", "one-commit", "each"),
)
BY_KEY = {entry.key: entry for entry in ENTRIES}


def install(name: str) -> str:
    """Make a peer's environment where it is not made yet; returns what went wrong, or nothing."""
    requirements = _PEERS / name / "requirements.txt"
    if not requirements.exists():
        return ""
    folder = ENVIRONMENTS / name
    stamp = folder / "installed.txt"
    wanted = f"{sys.version}\n{requirements.read_text()}"
    if stamp.exists() and stamp.read_text() == wanted:
        return ""
    print(f"installing {name} into {folder.relative_to(ROOT)}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    done = subprocess.run(
        [*pip, "install", "-r", str(requirements)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"could not be installed: {done.stderr.strip()[-300:]}"
    stamp.write_text(wanted)
    return ""
