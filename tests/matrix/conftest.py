"""One `headrace up` for the whole matrix: every cell is a pipeline that it runs."""

import gzip
import json
import os
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import urllib3
from sqlalchemy import Connection, text

from tests.matrix.cells import CELLS, COPIES, FIRST, NO_DATABASE, Cell, copies
from tests.matrix.places import NAMES, Place, places_on, servers
from tests.support.attempts import engine_for
from tests.support.cli import Headrace
from tests.support.http import Answered, Asked, http_server
from tests.support.places import NotInstalled, Server, run_as_owner
from tests.support.ports import free_port
from tests.support.processes import deadline
from tests.support.servers import embedded_servers

_LIMIT_S = 60.0
_CONNECTIONS = urllib3.PoolManager(timeout=30, retries=False)


@dataclass
class Ended:
    """A cell's run: its job's row and what it has logged."""

    job: Mapping[str, Any]
    logs: str


@dataclass
class Matrix:
    """The running Headrace, the places, and what every cell's pipeline is called."""

    folder: Path
    address: str
    places: Mapping[str, Place]
    http: str
    runs: dict[str, str] = field(default_factory=dict)
    _looking: dict[str, Connection] = field(default_factory=dict)

    def rows(self, url: str, query: str) -> list[tuple[Any, ...]]:
        """Return what a query sees now, over the one connection to `url`."""
        if (opened := self._looking.get(url)) is None:
            opened = self._looking[url] = engine_for(url).connect()
        with opened.begin():
            return [tuple(row) for row in opened.execute(text(query))]

    def close(self) -> None:
        for opened in self._looking.values():
            opened.close()

    def ended(self, name: str) -> Ended:
        """Wait for the end of a cell's run and return its job."""
        give_up = deadline(_LIMIT_S)
        while True:
            run = self.ask(f"/runs/{self.runs[name]}")
            if run["status"] not in ("queued", "running"):
                break
            assert time.monotonic() < give_up, f"{name} is still {run['status']}"
            time.sleep(0.2)
        (job,) = run["jobs"]
        logs = self.ask(f"/jobs/{job['id']}/logs")["items"]
        return Ended(self.ask(f"/jobs/{job['id']}"), "\n".join(one["message"] for one in logs))

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Return what the HTTP service answers to the user who started it."""
        status, answer = self.asked(path, body)
        assert status < 400, f"{path}: {status} {answer}"
        return answer

    def asked(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Return the status and the answer, whatever they are."""
        # By one connection: who has made it is looked up each time, in a list of all there are.
        answer = _CONNECTIONS.request(
            "GET" if body is None else "POST",
            self.address + path,
            body=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        return answer.status, answer.json()


@pytest.fixture(scope="package")
def second_servers() -> Iterator[Mapping[str, Server]]:
    """Servers of other major versions; see `places.servers`."""
    try:
        with servers() as found:
            yield found
    except NotInstalled as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="package")
def matrix(
    second_servers: Mapping[str, Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Matrix]:
    """Run every cell, each as a pipeline of one step."""
    folder = tmp_path_factory.mktemp("matrix")
    with ExitStack() as stack:
        http = stack.enter_context(http_server())
        http.routes["/orders"] = Answered(
            f'[{{"id": 4, "name": "Señor", "amount": {FIRST}, "at": "2026-07-01 00:30"}}]'.encode(),
            headers={"Content-Type": "application/json"},
        )
        http.routes["/pages"] = _page
        headrace = project(folder)
        own = stack.enter_context(embedded_servers(folder / "home"))
        url = own.database_url
        places = stack.enter_context(places_on(url, second_servers))
        matrix = Matrix(folder, f"http://127.0.0.1:{headrace.environ['HEADRACE_PORT']}",
                        places, http.url(""))  # fmt: skip
        stack.callback(matrix.close)
        configure(matrix, http.port)
        write_cells(matrix)
        said = headrace("validate", timeout=200)
        assert said.code == 0, said.out + said.err
        up = stack.enter_context(headrace.started("up"))
        wait_ready(matrix, up)
        for path in sorted((folder / "pipelines").glob("*.yaml")):
            answer = matrix.ask(f"/pipelines/{path.stem}/runs", {})
            matrix.runs[path.stem] = answer["id"]
        yield matrix
        up.stop()


def _page(asked: Asked) -> Answered:
    """Answer the first of two pages, or the second one."""
    if "second" in asked.path:
        return Answered('[{"id": 4, "name": "Señor", "at": "2026-07-03T00:00:00Z"}]'.encode())
    link = {"Link": '</pages?second=1>; rel="next"'}
    return Answered(
        '[{"id": 2, "name": "Änn", "at": "2026-07-02T00:00:00Z"}]'.encode(), headers=link
    )


def wait_ready(matrix: Matrix, up: Any) -> None:
    give_up = deadline(60)
    while True:
        try:
            with urllib.request.urlopen(matrix.address + "/health/ready", timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        assert up.process.poll() is None, up.output()
        assert time.monotonic() < give_up, up.output()
        time.sleep(0.1)


def project(folder: Path, **environ: str) -> Headrace:
    """Make a project's folders with the files that the cells load; nothing is started."""
    (folder / "pipelines" / "data").mkdir(parents=True)
    (folder / "pipelines" / "sql").mkdir()
    data = folder / "pipelines" / "data"
    (data / "orders.csv").write_text(
        f"id,name,amount,at\n4,Señor,{FIRST},2026-07-01 00:30\n5,Ö,0.5,\n", encoding="utf-8"
    )
    inbox = folder / "pipelines" / "inbox"
    (inbox / "b").mkdir(parents=True)
    (inbox / "b" / "c.csv.gz").write_bytes(
        gzip.compress(f"name,secret,id,amount\n\nÖ,x,5,{FIRST}\n".encode())
    )
    columns = {"id": [4], "name": ["Señor"], "amount": [1.5], "secret": ["y"]}
    pq.write_table(pa.table(columns), inbox / "a.parquet")
    (data / "changes.csv").write_text(
        'id,name,day,note\n2,old,2026-08-01,x\n2,Ånn,2026-08-02,new\n2,undated,,\n4,Señor,,""\n',
        encoding="utf-8",
    )
    (data / "orders.jsonl").write_text(
        f'{{"id": 4, "name": "Señor", "amount": {FIRST}}}\n'
        '{"id": 5, "name": "Ö", "amount": 0.5}\n',
        encoding="utf-8",
    )
    own = {"HEADRACE_HOME": str(folder / "home"), "HEADRACE_PORT": str(free_port())}
    return Headrace(folder, own | environ)


def configure(matrix: Matrix, http_port: int) -> None:
    named: dict[str, Any] = {
        p.connection: p.url for p in matrix.places.values() if p.connection is not None
    }
    if "wheel" in named:
        own = {"role": "etl", "search_path": ["public"], "statement_timeout": "5m"}
        named["wheel"] = {"url": named["wheel"], **own}
    (matrix.folder / "config.yaml").write_text(
        json.dumps(
            {
                "connections": named,
                "shell_commands": True,
                "http": {"allowed_hosts": [f"127.0.0.1:{http_port}"]},
            }
        )
    )


def write_cells(matrix: Matrix) -> None:
    """Write every cell's pipeline, and make what it begins with: one connection for each URL."""
    begun: list[tuple[str, str]] = []
    for kind, (job, make) in CELLS.items():
        for name in NAMES:
            place = matrix.places[name]
            begun += write_cell(matrix, f"{kind}__{name}", job, make(place), place, place)
    for kind, source, target in copies():
        job, make = COPIES[kind]
        at, to = matrix.places[source], matrix.places[target]
        begun += write_cell(matrix, f"{kind}__{source}__{target}", job, make(at), at, to)
    for job, with_ in NO_DATABASE.items():
        _write_pipeline(matrix, job.lower(), job, with_)
    # The schemas' owner comes first in each cell, so its statements are run before the role's.
    begin(begun)


def begin(statements: Iterable[tuple[str, str]]) -> None:
    """Run statements, each with its URL; those of one URL together and in their order."""
    found: dict[str, list[str]] = {}
    for url, statement in statements:
        found.setdefault(url, []).append(statement)
    for url, those in found.items():
        run_as_owner(url, *those)


def schema_of(name: str) -> str:
    """Return the schema in which a cell works, one for each cell."""
    return f"m_{name}"


def filled(text: str, name: str, matrix: Matrix, source: Place) -> str:
    """Return a cell's text with its schema and addresses."""
    return text.format(schema=schema_of(name), http=matrix.http, source_offset=source.offset)


def write_cell(
    matrix: Matrix, name: str, job: str, cell: Cell, source: Place, target: Place
) -> list[tuple[str, str]]:
    """Write a cell's pipeline; returns what makes its tables, each statement with its URL."""
    schema = schema_of(name)
    begun = []
    for place in {source.name: source, target.name: target}.values():
        begun.append(place.made_schema(schema))
        if name.startswith("archive_batches"):
            begun.append(place.made_schema(f"{schema}_old"))  # A role may lack the right to.
        if name.startswith("mirror_several"):
            begun.append(place.made_schema(f"{schema}_copy"))
    for place, prepare in ((source, cell.prepare), (target, cell.target_prepare)):
        if prepare:
            begun.append((place.url, filled(prepare, name, matrix, source)))
    values = filled_in(dict(cell.with_), name, matrix, source, target)
    if job in ("MirrorTable", "SyncTable"):
        values |= _connections(source_connection=source, target_connection=target)
    elif source.connection is not None:
        values["connection"] = source.connection
    if job == "ArchiveRows" and source is not target:
        values["target_connection"] = target.connection
    if job == "PopulateRecords":
        (matrix.folder / "pipelines" / "sql" / f"populate_{schema}.sql").write_text(
            f"create table {schema}.made (who text, at timestamptz);\n"
            f"insert into {schema}.made values ('Ñandú', '2026-07-01 00:30');\n",
            encoding="utf-8",
        )
    _write_pipeline(matrix, name, job, values)
    return begun


def filled_in(value: Any, name: str, matrix: Matrix, source: Place, target: Place) -> Any:
    if isinstance(value, dict):
        return {
            filled(key, name, matrix, source): filled_in(one, name, matrix, source, target)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [filled_in(one, name, matrix, source, target) for one in value]
    if value == "{target}":
        return target.connection
    return filled(value, name, matrix, source) if isinstance(value, str) else value


def _connections(**places: Place) -> dict[str, str]:
    return {key: place.connection for key, place in places.items() if place.connection is not None}


def _write_pipeline(matrix: Matrix, name: str, job: str, with_: Mapping[str, Any]) -> None:
    step = {"id": "only", "job": job, "with": dict(with_), "retry": {"limit": 0}}
    text = json.dumps({"name": name, "steps": [step]}, ensure_ascii=False)
    (matrix.folder / "pipelines" / f"{name}.yaml").write_text(text, encoding="utf-8")
