"""How far a running job has got, for people who watch it: HTTP, the command line, a terminal."""

import fcntl
import json
import os
import pty
import select
import struct
import termios
from contextlib import closing
from typing import Any

from headrace.cli.live_bar import progress_text
from tests.support.cli import Headrace
from tests.support.processes import wait_until
from tests.support.servers import connect

JOBS = """
import time
from headrace import BaseJob, get_db
from sqlalchemy import text

class Counts(BaseJob):
    def handle(self):
        for done in range(1, 101):
            self.progress(done, 200, unit="pages")
        with get_db() as db:
            while not db.execute(text("SELECT count(*) FROM go")).scalar():
                time.sleep(0.05)
"""


def project(tmp_path, database: str, redis_url: str, steps: list[dict[str, Any]]) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "p.yaml").write_text(json.dumps({"name": "p", "steps": steps}))
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "counts.py").write_text(JOBS)
    (tmp_path / "config.yaml").write_text("{}")
    environ = {"HEADRACE_HOME": str(tmp_path / "home"), "DATABASE_URL": database}
    return Headrace(tmp_path, environ | {"REDIS_URL": redis_url, "COLUMNS": "200"})


def progress_of(headrace: Headrace, status: str = "started") -> dict[str, Any] | None:
    """Return what the command line says of the only job."""
    jobs = headrace("jobs", "--json").json["items"]
    if not jobs or jobs[0]["status"] != status:
        return None
    found: dict[str, Any] | None = headrace("show", jobs[0]["id"], "--json").json["progress"]
    return found


def test_a_job_of_ones_own_says_how_far_it_has_got_outside_its_transaction(
    tmp_path, database, redis_url
):
    headrace = project(
        tmp_path, database, redis_url, [{"id": "count", "job": "jobs.counts.Counts"}]
    )
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TABLE go (n int)")
        with headrace.started_worker():
            run = headrace("run", "p", "--detach").out.strip()
            wait_until(lambda: progress_of(headrace), limit_s=40)

            found = progress_of(headrace)
            shown = headrace("show", run).out
            cursor.execute("INSERT INTO go VALUES (1)")
            wait_until(
                lambda: headrace("show", run, "--json").json["status"] == "completed", limit_s=40
            )

        assert found is not None
        told = {key: found[key] for key in ("done", "total", "unit", "share", "rows")}
        assert told == {"done": 100, "total": 200, "unit": "pages", "share": 0.5, "rows": None}
        assert "count: [##########----------]  50 %, 100 pages of 200 pages" in shown
        assert headrace("show", run, "--json").json["jobs"][0]["progress"] is None


def test_a_terminal_sees_a_bar_while_a_file_is_loaded(tmp_path, database, redis_url):
    """The load waits for a lock in the middle: a trigger of the table takes it at a row."""
    load = {"path": "rows.csv", "table": "t", "lock_timeout": "0s"}
    headrace = project(
        tmp_path, database, redis_url, [{"id": "load", "job": "LoadFile", "with": load}]
    )
    lines = "".join(f"{number},{'x' * 90}\n" for number in range(1, 20_001))
    (tmp_path / "pipelines" / "rows.csv").write_text(f"id,name\n{lines}")
    with closing(connect(database)) as opened, opened.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int, name text)")
        cursor.execute(
            "CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock(77); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER waits BEFORE INSERT ON t FOR EACH ROW WHEN (NEW.id = 19000)"
            " EXECUTE FUNCTION waits()"
        )
        cursor.execute("SELECT pg_advisory_lock(77)")
        with headrace.started_worker():
            seen = _on_a_terminal(headrace, lambda: cursor.execute("SELECT pg_advisory_unlock(77)"))

    assert "load [" in seen and " %, " in seen and " rows, " in seen and "rows/s" in seen, seen
    assert "completed" in seen.rpartition("rows/s")[2]


def _on_a_terminal(headrace: Headrace, go_on: Any) -> str:
    """Return what `headrace run p` writes on a terminal; `go_on` is called once a bar is there."""
    from tests.support import warm_python
    from tests.support.cli import environment

    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    process = warm_python.start(
        ["headrace", "run", "p"],
        cwd=headrace.folder,
        env=environment(headrace.environ),
        stdout=theirs,
        stderr=theirs,
        new_session=True,
    )
    os.close(theirs)
    seen, went_on = "", False
    try:
        while select.select([ours], [], [], 40)[0] and (piece := os.read(ours, 4096)):
            seen += piece.decode(errors="replace")
            if "rows/s" in seen and not went_on:
                went_on = True
                go_on()
    except OSError:
        pass  # The last one has closed the terminal.
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen


def test_progress_without_a_total_shows_amount_and_rate():
    nothing = {"share": None, "total": None, "rows": None, "per_second": None}

    assert progress_text({**nothing, "done": 5_400_000, "unit": "bytes"}) == "5.4 MB"
    assert (
        progress_text({**nothing, "done": 1, "unit": "bytes", "rows": 1200, "per_second": 600})
        == "1,200 rows, 600 rows/s"
    )
