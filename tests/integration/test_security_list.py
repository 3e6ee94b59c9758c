"""The lines of the security list that no other test is named after.

Templates: tests/unit/template. YAML: tests/unit/source. The API, Host and Origin:
tests/integration/test_web_security.py. Redirects, addresses and headers of HTTP jobs one by one:
tests/integration/test_http_extract.py. Notifications do not exist yet.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis
from fastapi.testclient import TestClient
from rq import Queue

from headrace.errors import JobFailure
from headrace.jobapi import Attempt
from headrace.jobapi.attempt_sessions import Sessions
from headrace.jobapi.folders import Folders
from headrace.store.embedded import Servers
from headrace.web.app import create_app
from tests.support.cluster import Cluster, cluster_on, effect_job
from tests.support.http import Answered, http_server
from tests.support.processes import wait_until

CANARY = "canary-3fW9xQ"


@pytest.fixture
def cluster(database: str, redis_url: str, tmp_path: Path) -> Iterator[Cluster]:
    secretive = database.replace("://", f"://headrace:{CANARY}@", 1).replace("headrace@", "", 1)
    config = {
        "api_token": CANARY,
        "connections": {
            "target": secretive,
            "nowhere": f"postgresql://someone:{CANARY}@127.0.0.1:1/nothing",
        },
    }
    with cluster_on(Servers(database, redis_url), tmp_path, config=config) as made:
        yield made


def test_redis_write_is_not_code_execution(cluster: Cluster, tmp_path: Path) -> None:
    """Whoever writes to Redis gets nothing run but jobs that PostgreSQL knows."""
    proof = tmp_path / "executed"
    connection = redis.from_url(cluster.servers.redis_url)
    high = cluster.keys.queue("high")
    Queue("high", connection=connection).enqueue("os.system", f"touch {proof}")
    Queue("high", connection=connection).enqueue("runner.queue.entry.perform")
    written = [
        *connection.lrange("rq:queue:high", 0, -1),
        b"\xff\x00",
        b"x" * 10_000,
        b"0" * 36 + b"_1",
    ]
    connection.rpush(high, *written)
    job = cluster.dispatch("EffectJob", queue="low")

    cluster.worker()

    cluster.wait_for_status(job, "completed")
    assert connection.llen(high) == 0
    assert connection.lrange(cluster.keys.set_aside("high"), 0, -1) == written
    assert connection.llen("rq:queue:high") == 2
    assert not proof.exists()


def test_a_message_holds_ids_only(cluster: Cluster) -> None:
    cluster.dispatch("EffectJob", with_={"tag": CANARY})

    held = everything_in(cluster.servers.redis_url)

    assert effect_job("EffectJob").encode() not in held
    assert CANARY.encode() not in held


def test_a_secret_appears_nowhere(cluster: Cluster) -> None:
    """Not in logs, rows, tracebacks, API answers or Redis, also where the connection fails."""
    well = cluster.dispatch("EffectJob", with_={"connection": "target"})
    badly = cluster.dispatch("EffectJob", with_={"connection": "nowhere"}, retry=0)
    unknown = cluster.dispatch("EffectJob", with_={"connection": "missing"}, retry=0)
    cluster.daemon()
    cluster.worker()
    jobs = (well, badly, unknown)
    wait_until(lambda: all(cluster.job(job)["finished_at"] for job in jobs), what="the jobs' end")

    assert cluster.job(badly)["traceback"]
    client = TestClient(create_app(cluster.headrace), base_url="http://127.0.0.1:8000")
    client.headers["Authorization"] = f"Bearer {CANARY}"
    answers = [
        client.get(path).text
        for path in ("/jobs", f"/jobs/{badly}", f"/jobs/{badly}/attempts", f"/jobs/{badly}/logs",
                     "/pipelines", "/runs", "/health/ready", "/metrics", "/openapi.json")
    ]  # fmt: skip
    assert badly in answers[0]
    assert CANARY not in "".join(answers)
    assert CANARY not in "".join(one.log.read_text() for one in cluster.started)
    assert CANARY not in everything_stored(cluster)
    assert CANARY.encode() not in everything_in(cluster.servers.redis_url)
    assert CANARY not in repr(cluster.headrace.settings)


def test_a_secret_by_reference_appears_nowhere(cluster: Cluster) -> None:
    """Not where the job says it itself: in its log, its result, its error and its traceback."""
    said = "tests.integration.test_language_env.LoseSecret"
    (cluster.folder / "pipelines" / "secretive.yaml").write_text(
        f"""
name: secretive
defaults: {{env: {{TOKEN: "${{SHOP_TOKEN}}"}}}}
steps:
  - {{id: well, job: {said}}}
  - {{id: badly, job: {said}, with: {{fail: true}}, retry: {{limit: 0}}}}
"""
    )
    run = cluster.headrace.start_run("secretive", {})
    cluster.daemon()
    cluster.worker(env={"SHOP_TOKEN": CANARY})
    cluster.wait_all_final()

    client = TestClient(create_app(cluster.headrace), base_url="http://127.0.0.1:8000")
    client.headers["Authorization"] = f"Bearer {CANARY}"
    jobs = cluster.sql("SELECT id FROM headrace.job WHERE run_id = %s", str(run["id"]))
    paths = ["/jobs", "/pipelines", f"/runs/{run['id']}"]
    for job in jobs:
        paths += [f"/jobs/{job['id']}{part}" for part in ("", "/attempts", "/logs")]
    answers = "".join(client.get(path).text for path in paths)
    assert "${SHOP_TOKEN}" in answers and "***" in answers
    assert CANARY not in answers
    assert CANARY not in "".join(one.log.read_text() for one in cluster.started)
    assert CANARY not in everything_stored(cluster)
    assert CANARY.encode() not in everything_in(cluster.servers.redis_url)


def test_http_jobs_speak_to_listed_hosts_and_follow_no_redirect_into_private_ranges(
    database: str, redis_url: str, tmp_path: Path
) -> None:
    with http_server() as listed, http_server() as private:
        private.routes["/"] = Answered(b"[]")
        listed.routes["/"] = Answered(b"[]")
        listed.redirect("/redirect", private.url())
        config = {"http": {"allowed_hosts": [f"127.0.0.1:{listed.port}"]}}
        with cluster_on(Servers(database, redis_url), tmp_path, config=config) as cluster:
            jobs = [
                cluster.headrace.dispatcher.dispatch("HttpExtract", {"url": url, "path": "x"})
                for url in (listed.url(), private.url(), listed.url("/redirect"))
            ]
            cluster.worker()
            cluster.wait_all_final()

            rows = [cluster.job(job) for job in jobs]

    assert [row["status"] for row in rows] == ["completed", "failed", "failed"]
    assert all("http.allowed_hosts in config.yaml" in row["error"] for row in rows[1:])
    assert private.asked == []


def test_jobs_start_no_program_unless_the_configuration_allows_it(cluster: Cluster) -> None:
    proof = cluster.folder / "proof"
    job = cluster.headrace.dispatcher.dispatch("ShellCommand", {"command": f"touch {proof}"})
    cluster.worker()

    error = cluster.wait_for_status(job, "failed")["error"]

    assert "shell_commands: true in config.yaml" in error
    assert not proof.exists()


def everything_stored(cluster: Cluster) -> str:
    tables = cluster.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'headrace'")
    assert len(tables) > 5
    rows = [cluster.sql(f"SELECT t::text FROM headrace.{one['tablename']} t") for one in tables]
    return str(rows)


def everything_in(redis_url: str) -> bytes:
    connection: Any = redis.from_url(redis_url)
    held = []
    for key in connection.scan_iter():
        held.append(key)
        kind = connection.execute_command("TYPE", key)
        if kind == b"hash":
            fields: dict[bytes, bytes] = cast(Any, connection.hgetall(key))
            held += [part for pair in fields.items() for part in map(unpacked, pair)]
        elif kind == b"list":
            held += cast(Any, connection.lrange(key, 0, -1))
        elif kind == b"string":
            held.append(cast(bytes, connection.get(key)))
    return b"\n".join(held)


def unpacked(value: bytes) -> bytes:
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def test_paths_stay_inside_their_folders_after_resolving_links(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    (project / "pipelines").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.csv").write_text("x")
    (project / "pipelines" / "link").symlink_to(outside)
    (project / "pipelines" / "inside.csv").write_text("x")
    nothing = cast(Sessions, SimpleNamespace())
    folders = Folders(project / "pipelines", project / "pipelines", (project / "exports",))
    attempt = Attempt("id", 1, project, folders, nothing)

    assert attempt.resolve_path("inside.csv").name == "inside.csv"
    for path in ("link/secret.csv", "../../outside/secret.csv", str(outside / "secret.csv")):
        with pytest.raises(JobFailure, match="leaves the folders"):
            attempt.resolve_path(path)


def test_pip_audit_is_part_of_ci() -> None:
    root = Path(__file__).parents[2]
    assert "make audit" in (root / ".ci" / "run").read_text()
    assert "pip_audit --requirement requirements.lock" in (root / "Makefile").read_text()
