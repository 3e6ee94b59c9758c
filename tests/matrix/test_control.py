"""The control database itself on other servers: a major of its own, a pooler, a bare role."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.matrix.cells import CELLS
from tests.matrix.conftest import Matrix, begin, configure, filled, project, wait_ready, write_cell
from tests.matrix.places import Place
from tests.support.places import PASSWORD, Server, pgbouncer
from tests.support.ports import free_port
from tests.support.roles import create_role

pytestmark = pytest.mark.timeout(240)

KINDS = ("run_sql", "load", "export", "aggregate", "vacuum")
_ROLE = "runner"


def _direct(server: Server, _stack: ExitStack) -> str:
    server.execute(f'CREATE DATABASE "control" OWNER {_ROLE}')
    return server.url_for("control", _ROLE)


def _pooled(server: Server, stack: ExitStack) -> str:
    server.execute(f'CREATE DATABASE "pooled" OWNER {_ROLE}')
    port = stack.enter_context(pgbouncer(server))
    return f"postgresql://{_ROLE}:{PASSWORD}@127.0.0.1:{port}/pooled"


def _schema_by_dba(server: Server, _stack: ExitStack) -> str:
    server.execute('CREATE DATABASE "given"', "REVOKE CREATE ON DATABASE given FROM PUBLIC")
    server.execute(f"CREATE SCHEMA headrace AUTHORIZATION {_ROLE}", database="given")
    return server.url_for("given", _ROLE)


def _role_named_like_the_schema(server: Server, _stack: ExitStack) -> str:
    server.execute(f"CREATE ROLE headrace LOGIN PASSWORD '{PASSWORD}'")
    server.execute('CREATE DATABASE "headrace" OWNER headrace')
    return server.url_for("headrace", "headrace")


CONTROLS: dict[str, tuple[str, Callable[[Server, ExitStack], str]]] = {
    "another_major": ("debian", _direct),
    "through_pgbouncer": ("wheel", _pooled),
    "a_schema_that_a_dba_made": ("debian", _schema_by_dba),
    "a_role_named_like_the_schema": ("wheel", _role_named_like_the_schema),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_jobs_run_on_a_control_database_that_is(
    control: str, second_servers: Mapping[str, Server], tmp_path: Path
):
    server_name, make = CONTROLS[control]
    server = second_servers[server_name]
    _make_role(server)
    with ExitStack() as stack:
        url = make(server, stack)
        role = url.partition("://")[2].partition(":")[0]
        headrace = project(tmp_path, DATABASE_URL=url)
        database = url.rpartition("/")[2]
        admin = server.url.replace("/postgres?", f"/{database}?")
        place = Place("control", None, url, admin, role)
        matrix = Matrix(
            tmp_path,
            f"http://127.0.0.1:{headrace.environ['HEADRACE_PORT']}",
            {"control": place},
            "",
        )
        stack.callback(matrix.close)
        configure(matrix, free_port())
        for kind in KINDS:
            begin(write_cell(matrix, kind, CELLS[kind][0], CELLS[kind][1](place), place, place))
        up = stack.enter_context(headrace.started("up"))
        wait_ready(matrix, up)
        for kind in KINDS:
            matrix.runs[kind] = matrix.ask(f"/pipelines/{kind}/runs", {})["id"]
        for kind in KINDS:
            _holds(matrix, kind, place)
        assert "Traceback" not in up.output()
        up.stop()


def test_a_control_database_that_is_not_utf8_is_refused_with_a_sentence(
    second_servers: Mapping[str, Server], tmp_path: Path
):
    server = second_servers["debian"]
    _make_role(server)
    clauses = "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
    server.execute(f"CREATE DATABASE narrow OWNER {_ROLE} {clauses}")
    headrace = project(tmp_path, DATABASE_URL=server.url_for("narrow", _ROLE))
    done = headrace("up")
    assert done.code == 2
    said = done.out + done.err
    assert "LATIN1" in said
    assert "UTF8" in said
    assert "Traceback" not in said


def _make_role(server: Server) -> None:
    server.execute(create_role(_ROLE, f"LOGIN PASSWORD '{PASSWORD}'"))


def _holds(matrix: Matrix, kind: str, place: Place) -> None:
    cell = CELLS[kind][1](place)
    ended = matrix.ended(kind)
    assert ended.job["status"] == "completed", f"{kind}: {ended.job['error']}"
    for query, rows in cell.sees.items():
        assert matrix.rows(place.url, filled(query, kind, matrix, place)) == rows, query
