"""The guide's page on production, run: roles with least rights, a backup and its restore."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from headrace.store.embedded.place import place_of
from headrace.store.embedded.postgres import programs
from tests.support.cli import Headrace
from tests.support.processes import wait_until
from tests.support.servers import connect, drop_database

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "production.md"
PIPELINE = """
name: daily
steps:
  - {id: first, job: Fibonacci, with: {n: 5}}
  - {id: second, job: RunSql, depends_on: [first], with: {sql: "select 1 as one"}}
"""


def run_sql(url: str, script: str, names: dict[str, str]) -> None:
    for name, instead in names.items():
        script = re.sub(rf"\b{name}\b", instead, script)
    with closing(connect(url)) as line, line.cursor() as cursor:
        for statement in filter(str.strip, script.split(";")):
            cursor.execute(statement)


def url_of(server_url: str, role: str, password: str, database: str) -> str:
    parts = urlsplit(server_url)
    login = f"{role}:{password.replace(' ', '%20')}@"
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=login + host, path=f"/{database}"))


@pytest.fixture
def least(database: str) -> Iterator[tuple[str, str, str]]:
    """The page's roles and database under names of their own; yields three URLs.

    The owner's, the application's, and the test's own to that database.
    """
    name = urlsplit(database).path.lstrip("/") + "_p"
    names = {"headrace_owner": f"{name}_owner", "headrace_app": f"{name}_app"}
    first, second = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    one_of_ours = urlunsplit(urlsplit(database)._replace(path=f"/{name}"))
    with ExitStack() as stack:
        # The administrator of the page is a superuser; this role has to be a member.
        script = first.replace("DATABASE headrace", f"DATABASE {name}")
        made, rest = script.split("CREATE DATABASE")
        run_sql(database, made, names)
        for role in reversed(names.values()):
            stack.callback(run_sql, database, f"DROP ROLE {role}", {})
        run_sql(database, f"GRANT {', '.join(names.values())} TO CURRENT_USER", {})
        run_sql(database, "CREATE DATABASE" + rest.split("REVOKE")[0], names)
        stack.callback(drop_database, database, one_of_ours)
        run_sql(database, "REVOKE" + rest.split("REVOKE")[1], names)
        run_sql(one_of_ours, second, names)
        yield (
            url_of(database, names["headrace_owner"], "choose one", name),
            url_of(database, names["headrace_app"], "choose another", name),
            one_of_ours,
        )


@pytest.mark.timeout(240)
def test_the_roles_of_the_page_suffice_and_its_backup_brings_back_what_was_queued(
    least: tuple[str, str, str], redis_url: str, tmp_path: Path
) -> None:
    owner_url, app_url, _ = least
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "daily.yaml").write_text(PIPELINE)
    shared = {"REDIS_URL": redis_url, "HEADRACE_PORT": "0"}
    owner = Headrace(tmp_path, {**shared, "DATABASE_URL": owner_url})
    app = Headrace(tmp_path, {**shared, "DATABASE_URL": app_url})
    refused = app("db", "upgrade")
    assert refused.code == 2
    assert "may not make the schema headrace" in refused.err
    assert owner("db", "upgrade").code == 0

    with app.started("up", "--workers", "1") as up:
        up.wait_for("daily")
        assert app("run", "daily").code == 0
        assert app("prune", "--older-than", "1d").code == 0
        assert "Traceback" not in up.output()
    assert app("run", "daily", "--detach").code == 0

    commands = re.findall(r"^pg_(?:dump|restore) .*", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        program, rest = command.split(" ", 1)
        tool = programs(place_of(tmp_path)) / program
        subprocess.run(
            f"{tool} {rest}", shell=True, cwd=tmp_path, check=True,
            env={"DATABASE_URL": owner_url, "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    with redis.Redis.from_url(redis_url) as line:
        line.flushdb()

    def statuses() -> list[str]:
        return [run["status"] for run in app("runs", "--json").json["items"]]

    with app.started("up", "--workers", "1"):
        assert app("run", "daily").code == 0
        # What was queued has lost its message, and may come after it.
        wait_until(lambda: statuses() == ["completed"] * 3, limit_s=30, what="the end of all runs")
