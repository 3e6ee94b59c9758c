"""The compose stack on a real engine, set up as docs/guide/machines.md has it."""

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.support.engine import compose_command, need_engine
from tests.support.processes import wait_until
from tests.support.stack import PASSWORD, ROOT, Stack, images

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need_engine(*images())
    made = Stack(tmp_path_factory.mktemp("stack"), compose_command())
    try:
        began = time.monotonic()
        made("build")
        print(f"built in {time.monotonic() - began:.0f} s")
        made("up", "-d", "--scale", "worker=2")
        made.wait_for_all(workers=2)
        yield made
        print(made("logs", "--no-color", check=False)[-20_000:])
    finally:
        made.remove()


def test_the_stack_becomes_healthy_and_serves(stack: Stack) -> None:
    assert stack.ask("/health/ready", token="") == {"status": "ready"}

    made = stack.ask("/create-jobs/", {})["items"]

    ends = {job["job_class"]: stack.end_of(job["id"])["status"] for job in made}
    assert ends.pop("FailedJob") == "retrying"
    assert set(ends.values()) == {"completed"}, ends


def test_what_a_job_exports_is_read_through_compose(stack: Stack) -> None:
    query = "select n from generate_series(1, 3) n"
    row = stack.end_of(stack.job("ExportQuery", sql=query, path="reports/probe.csv")["id"])

    assert row["status"] == "completed", row["error"]
    read = stack("exec", "-T", "worker", "cat", "/app/exports/reports/probe.csv")
    assert read == "n\n1\n2\n3\n"


@pytest.mark.parametrize("service", ["daemon", "worker", "web"])
def test_a_container_has_no_rights_and_writes_no_code(stack: Stack, service: str) -> None:
    assert stack.inside(service, "id", "-u").stdout == "10001\n"
    status = stack.inside(service, "cat", "/proc/self/status").stdout
    assert re.findall(r"^Cap(?:Prm|Eff|Bnd):\t(\w+)$", status, re.MULTILINE) == ["0" * 16] * 3
    assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)

    for path in ("/app/x", "/app/jobs/x.py", "/app/pipelines/x.yaml", "/app/runner/x.py",
                 "/app/schema/x", "/venv/x", "/etc/x"):  # fmt: skip
        assert stack.inside(service, "touch", path).returncode != 0, path


def test_the_command_line_works_in_a_container(stack: Stack) -> None:
    assert "completed: 4 steps" in stack("exec", "-T", "worker", "headrace", "run", "demo")
    assert "completed: 4 steps" in stack("run", "--rm", "-T", "worker", "run", "demo")


def test_the_daemon_removes_what_a_killed_export_left_in_the_volume(stack: Stack) -> None:
    job = stack.end_of(stack.job("RunSql", sql="select 1")["id"])
    left = f"/app/exports/.orders.csv.{job['id']}.7.part"
    assert stack.inside("worker", "touch", left).returncode == 0

    stack("restart", "daemon")

    wait_until(lambda: stack.inside("worker", "ls", left).returncode != 0, limit_s=60, what=left)


def test_a_redis_in_protected_mode_is_an_outage_with_its_reason(stack: Stack) -> None:
    told = "Redis refuses connections from other hosts"

    def logs(*services: str) -> str:
        return stack("logs", "--no-color", *services)

    def reports(service: str) -> bool:
        return told in logs(service)

    def redis(*words: str) -> None:
        said = stack.inside("redis", "redis-cli", *words)
        assert said.returncode == 0 and "ERR" not in said.stdout, said

    redis("config", "set", "protected-mode", "yes")
    try:
        for kind in ("normal", "pubsub"):
            redis("client", "kill", "type", kind)
        job = stack.job("RunSql", sql="select 1")
        assert job["status"] == "queued"
        for service in ("daemon", "worker"):
            wait_until(partial(reports, service), limit_s=30, what=told)
        with pytest.raises(HTTPError) as unready:
            stack.ask("/health/ready")
        assert told in json.load(unready.value)["missing"]["redis"]
    finally:
        redis("config", "set", "protected-mode", "no")

    assert stack.end_of(job["id"])["status"] == "completed"
    assert logs("daemon").count(told) == 1
    assert "Traceback" not in logs("daemon", "worker", "web")


def test_down_and_up_keep_database_and_exports_and_take_in_a_config_file(stack: Stack) -> None:
    kept = stack.end_of(
        stack.job("ExportQuery", sql="select 'kept' as word", path="kept.csv")["id"]
    )
    stack("down")
    _follow_the_guide(stack.folder)
    stack("up", "-d", "--scale", "worker=1")
    stack.wait_for_all(workers=1)

    assert stack.ask(f"/jobs/{kept['id']}")["status"] == "completed"
    assert stack.inside("worker", "cat", "/app/exports/kept.csv").stdout == "word\nkept\n"
    there = stack.job(
        "ExportQuery", sql="select current_database()", path="there.csv", connection="warehouse"
    )
    row = stack.end_of(there["id"])
    assert row["status"] == "completed", row["error"]
    assert "\npostgres\n" in stack.inside("worker", "cat", "/app/exports/there.csv").stdout


def _follow_the_guide(folder: Path) -> None:
    guide = (ROOT / "docs/guide/machines.md").read_text()
    (override,) = re.findall(r"^```yaml\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
    (folder / "docker-compose.override.yml").write_text(override)
    (folder / "config.yaml").write_text(
        "connections:\n"
        "  warehouse: postgresql://headrace:${WAREHOUSE_PASSWORD}@postgres:5432/postgres\n"
    )
    with (folder / ".env").open("a") as settings:
        settings.write(f"WAREHOUSE_PASSWORD={PASSWORD}\n")
