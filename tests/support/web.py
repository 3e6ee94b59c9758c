"""The HTTP service over real servers: in this process, or behind a real socket."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from headrace.declarations.config import Settings
from headrace.engine.application import Headrace, connect
from headrace.store.embedded.home import token_of
from headrace.web.app import create_app
from headrace.web.serve import Server, listen

PROJECT = Path(__file__).resolve().parents[2]

PIPELINES = {
    "chain.yaml": """\
name: chain
description: Three steps, one after the other.
schedule: {cron: "0 * * * *"}
params:
  n: {type: integer, default: 5}
steps:
  - {id: first, job: Fibonacci, with: {n: "{{ params.n }}"}}
  - {id: second, job: Fibonacci, with: {n: 6}, depends_on: [first]}
  - {id: third, job: Fibonacci, with: {n: 7}, depends_on: [second]}
""",
    "plain.yaml": "name: plain\nsteps:\n  - {id: only, job: Fibonacci, with: {n: 1}}\n",
    "broken.yaml": "name: broken\nsteps:\n  - {id: only, job: Fibonaci, with: {n: 1}}\n",
}


@contextmanager
def installation(
    database_url: str, redis_url: str, folder: Path, **settings: Any
) -> Iterator[Headrace]:
    """Yield an installation whose pipelines are `PIPELINES`, below `folder`; any port will do."""
    pipelines = folder / "pipelines"
    pipelines.mkdir(exist_ok=True)
    for name, text in PIPELINES.items():
        (pipelines / name).write_text(text)
    (pipelines / "sql").mkdir(exist_ok=True)
    shutil.copy(PROJECT / "pipelines/sql/users.sql", pipelines / "sql")
    chosen = Settings(
        project=folder,
        home=folder / "home",
        pipelines=pipelines,
        database_url=database_url,
        redis_url=redis_url,
        **{"job_packages": ("tests",), "port": 0, **settings},
    )
    with connect(chosen, role="web") as headrace:
        yield headrace


@contextmanager
def client_of(headrace: Headrace, *, known: bool = True, **headers: str) -> Iterator[TestClient]:
    """Yield a client as a program on this machine is one; `known` ones send the home's token."""
    app = create_app(headrace)
    if known and headrace.settings.api_token is None:
        headers = {"Authorization": f"Bearer {token_of(headrace.settings.home)}", **headers}
    with TestClient(app, base_url="http://localhost:8000", headers=headers) as client:
        yield client


@contextmanager
def served(headrace: Headrace) -> Iterator[tuple[str, Server]]:
    """Yield the address of a server that runs in a thread, and the server."""
    with listen(headrace.settings) as listener:
        server = Server(create_app(headrace))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()
