"""The same work by other tools that move rows: dlt and sling, each as one process of its own.

Their times are whole processes, as somebody runs them; ours beside is a job of a worker that is
there already, which is how Headrace runs. sling speaks TCP only, so socat stands between it and
the server's socket: some per cent of its time. A tool that cannot be installed has no number.
"""

import atexit
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psycopg2
from sqlalchemy.engine import make_url

from bench import peerage
from bench.contender import ROOT

TABLE = "theirs"
_LIMIT_S = 600
_SILENT = {"RUNTIME__DLTHUB_TELEMETRY": "false", "SLING_DISABLE_TELEMETRY": "TRUE"}


def load(file: Path, target: str, rows: int) -> dict[str, float]:
    """Load a CSV file into a table; return the seconds of each."""
    return _each(
        {
            "dlt": lambda: ["load", str(file), _whole(target), TABLE],
            "sling": lambda: ["--src-stream", file.as_uri(), *_sling_target(target)],
        },
        rows,
        lambda: _count(target),
    )


def mirror(source: str, target: str, rows: int) -> dict[str, float]:
    """Copy a table between two databases; return the seconds of each."""
    return _each(
        {
            "dlt": lambda: ["mirror", _whole(source), _whole(target), TABLE],
            "sling": lambda: [
                *("--src-conn", _tcp(source), "--src-stream", "public.source"),
                *_sling_target(target),
            ],
        },
        rows,
        lambda: _count(target),
    )


def export(source: str, file: Path, rows: int) -> dict[str, float]:
    """Write a table to a CSV file; return sling's seconds (dlt writes folders of its own)."""
    return _each(
        {
            "sling": lambda: [
                *("--src-conn", _tcp(source), "--src-stream", "public.source"),
                *("--tgt-object", file.as_uri()),
            ]
        },
        rows,
        lambda: file.read_bytes().count(b"\n") - 1,
    )


def _whole(url: str) -> str:
    """Return the URL with a host and a password, which dlt asks for; the query's host counts."""
    one = make_url(url)
    given = one.set(
        drivername="postgresql", host=one.host or "localhost", password=one.password or "none"
    )
    return given.update_query_dict({"sslmode": "disable"}).render_as_string(hide_password=False)


def _tcp(url: str) -> str:
    port = _relay(Path(str(make_url(url).query["host"])) / ".s.PGSQL.5432")
    one = make_url(_whole(url)).difference_update_query(["host"]).set(host="127.0.0.1", port=port)
    return one.render_as_string(hide_password=False)


@cache
def _relay(server: Path) -> int:
    """Start socat before a server's socket, until this process ends; return its port."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr"
    relay = subprocess.Popen(["socat", "-b", "1048576", listen, f"UNIX-CONNECT:{server}"])
    atexit.register(relay.kill)
    time.sleep(0.3)
    return port


def _count(url: str) -> int:
    line = psycopg2.connect(url)
    try:
        with line.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {TABLE}")
            ((rows,),) = cursor.fetchall()
            return int(rows)
    finally:
        line.close()


def _sling_target(url: str) -> list[str]:
    return ["--tgt-conn", _tcp(url), "--tgt-object", f"public.{TABLE}", "--mode", "full-refresh"]


def _each(
    tools: dict[str, Callable[[], list[str]]], rows: int, written: Callable[[], int]
) -> dict[str, float]:
    """Run the tools one after the other."""
    found = {}
    for name, arguments in tools.items():
        if peerage.install(name) or (name == "sling" and not shutil.which("socat")):
            continue
        python = peerage.ENVIRONMENTS / name / "bin" / "python"
        command = (
            [str(python), str(ROOT / "bench" / "peers" / "dlt" / "move_rows.py")]
            if name == "dlt"
            else [str(next(python.parents[1].glob("lib/*/site-packages/sling_*/bin/sling-*")))]
        )
        if name == "sling":
            command.append("run")
        began = time.monotonic()
        done = subprocess.run(
            [*command, *arguments()],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            env={
                **os.environ,
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "SLING_DISABLE_TELEMETRY": "TRUE",
            },
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {(done.stdout + done.stderr).strip()[-300:]}")
        found[f"{name}_s"] = time.monotonic() - began
        if written() != rows:
            raise RuntimeError(f"{name} wrote {written()} of {rows} rows")
    return found
