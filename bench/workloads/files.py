"""Measures LoadFile and ExportQuery against `psql \\copy` of the same file.

Both do the same work in the same round, one after the other; the value is psql's time divided by
Headrace's: above 1 Headrace is the faster. Headrace's is the job's own, commit included.
"""

import shutil
import subprocess
import time
from typing import Any

from bench.peers.headrace.adapter import Adapter
from bench.workloads import loaders
from bench.workloads.copies import Beside, figures, run_on

_TABLE = """
DROP TABLE IF EXISTS {name};
CREATE TABLE {name} (id bigint, name text, email text, amount numeric(12, 2),
                     updated_at timestamp, day date, active boolean, score float8)
"""
_FILL = """
INSERT INTO source
SELECT i, 'name ' || i, 'user' || i || '@example.com', (i % 100000 / 7.0)::numeric(12, 2),
       now()::timestamp - i * interval '1 s', date '2020-01-01' + (i % 2000)::int, i % 2 = 0,
       i / 3.0::float8
  FROM generate_series(1, {rows}) AS i;
VACUUM ANALYZE source
"""


def run(
    contender: Adapter, *, direction: str, rows: int, kind: str = "csv", alone: bool = False
) -> dict[str, Any]:
    theirs: dict[str, float] = {}
    bench = _Files(contender, "LoadFile" if direction == "in" else "ExportQuery")
    try:
        bench.prepare_files(rows, kind)
        bench.settle()
        if direction == "in":
            hand_s = bench.psql("\\copy by_hand from '{0}' (format csv, header)")
            bench.settle()
            ours_s, peak_mb = bench.job({"path": f"bench.{kind}", "table": "ours"})
            bench.compare(rows)
            if kind == "csv" and not alone:
                theirs = loaders.load(bench.file, bench.target, rows)
        else:
            hand_s = bench.psql("\\copy source to '{0}.hand' (format csv, header)")
            bench.settle()
            given = {"path": f"out.{kind}", "sql": "SELECT * FROM source"}
            ours_s, peak_mb = bench.job(given)
            if not alone:
                theirs = loaders.export(bench.target, bench.file.with_name("theirs.csv"), rows)
    finally:
        contender.stop_workers()
    return figures(hand_s, ours_s, peak_mb, theirs)


class _Files(Beside):
    """A table, the file that it is written to, and the two ways between them."""

    def prepare_files(self, rows: int, kind: str) -> None:
        for name in ("source", "by_hand", "ours"):
            run_on(self.target, *_TABLE.format(name=name).split(";"))
        run_on(self.target, *_FILL.format(rows=rows).split(";"))
        folder = self._contender.place.scratch / "pipelines"
        folder.mkdir(exist_ok=True)
        self.file = folder / "bench.csv"
        self.psql("\\copy source to '{0}' (format csv, header)")
        self._contender.install()
        self._contender.start_workers(1)
        if kind != "csv":
            self.job({"path": f"bench.{kind}", "sql": "SELECT * FROM source"}, "ExportQuery")
            written = self._contender.place.scratch / "exports" / f"bench.{kind}"
            written.replace(folder / f"bench.{kind}")

    def psql(self, command: str) -> float:
        """Run one command of psql and return the seconds that it takes."""
        psql = shutil.which("psql")
        if psql is None:
            raise RuntimeError("psql is not installed")
        began = time.monotonic()
        subprocess.run([psql, "-qX", self.target, "-c", command.format(self.file)], check=True)
        return time.monotonic() - began
