"""`validate` and a run agree about pipelines with one mistake each.

A finding names its seed: `GENERATED_SEED=… GENERATED_CASES=1` shows it again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml
from sqlalchemy import make_url

from headrace.declarations.config import Settings
from tests.support.by_hand import by_hand
from tests.support.cli import Headrace
from tests.support.generated import Seeds
from tests.support.http import Answered, HttpServer, http_server
from tests.support.mistakes import spoil, written
from tests.support.verdicts import Verdict, fed_by_rows, of_plan, of_run, of_validate

BASES = Path(__file__).parents[1] / "support" / "agreement"

TABLES = """
drop schema if exists shop cascade;
create schema shop;
create table shop.orders (id int primary key, region text, amount numeric, ordered date);
create table shop.scratch (note text);
create table shop.synced (id int primary key, region text, amount numeric);
create table shop.fetched (id int, name text);
insert into shop.orders values (1, 'eu', 5, '2020-01-01'), (2, 'us', 7, '2026-01-01');
insert into shop.fetched values (1, 'x');
"""
CSV = "id,region,amount,ordered\n1,eu,5.5,2020-01-01\n2,us,7,2026-01-01\n"
ITEMS = {"data": {"items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}}


class Ground:
    """A project, a server and a database, laid out anew for each case."""

    def __init__(self, folder: Path, url: str, redis: str, server: HttpServer) -> None:
        self.folder, self.url, self.redis, self.server = folder, url, redis, server
        self.number = 0

    def bases(self) -> list[str]:
        return sorted(path.stem for path in BASES.glob("*.yaml"))

    def base(self, name: str) -> tuple[dict[str, Any], dict[str, str]]:
        text = (BASES / f"{name}.yaml").read_text().replace("PORT", str(self.server.port))
        files = [path for path in sorted((BASES / "sql").glob("*.sql")) if path.name in text]
        return yaml.safe_load(text), {path.name: path.read_text() for path in files}

    def lay_out(self, document: Any, sql: dict[str, str]) -> Path:
        self.number += 1
        project = self.folder / str(self.number)
        pipelines = project / "pipelines"
        (pipelines / "sql").mkdir(parents=True)
        (pipelines / "data").mkdir()
        (pipelines / "data" / "orders.csv").write_text(CSV)
        (pipelines / "p.yaml").write_text(written(document))
        for name, text in sql.items():
            (pipelines / "sql" / name).write_text(text)
        with psycopg2.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(TABLES)
        connection.close()
        return project

    def settings(self, project: Path) -> Settings:
        return Settings(
            project,
            project,
            project / "pipelines",
            database_url=self.url,
            redis_url=self.redis,
            **PERMITTED,
        )


CONFIG = "shell_commands: true\nhttp: {allowed_hosts: [127.0.0.1]}\n"
PERMITTED: dict[str, Any] = {"shell_commands": True, "allowed_hosts": ("127.0.0.1",)}


@pytest.fixture
def ground(database: str, redis_url: str, tmp_path: Path) -> Iterator[Ground]:
    with psycopg2.connect(database) as connection, connection.cursor() as cursor:
        # A spoilt duration must not be waited for.
        name = make_url(database).database
        cursor.execute(f"alter database \"{name}\" set statement_timeout = '3s'")
    connection.close()
    with http_server() as server:
        server.routes["/items"] = Answered(json.dumps(ITEMS).encode())
        yield Ground(tmp_path, database, redis_url, server)


def three(ground: Ground, document: Any, sql: dict[str, str]) -> tuple[list[str], str, Verdict]:
    """Return what validate, plan and a run say."""
    project = ground.lay_out(document, sql)
    settings = ground.settings(project)
    told = of_validate(settings.pipelines, settings)
    name = document.get("name") if isinstance(document, dict) else None
    name = name if isinstance(name, str) else "p"
    planned = of_plan(settings, name)
    with by_hand(ground.url, ground.redis, project, **PERMITTED) as hand:
        return told, planned, of_run(hand, name, fed_by_rows(document))


@pytest.mark.parametrize("name", ["copies", "orders", "small", "web"])
def test_what_is_spoilt_is_right_before(ground: Ground, name: str) -> None:
    told, planned, verdict = three(ground, *ground.base(name))
    assert (told, planned) == ([], "")
    assert verdict.completed, verdict


@pytest.mark.timeout(3600)
@pytest.mark.generated
def test_validate_and_a_run_agree_about_mistakes(ground: Ground, seeds: Seeds) -> None:
    findings: list[str] = []
    counts = {"both refuse": 0, "at load": 0, "both content": 0, "outside": 0}
    for seed in seeds(30):
        name = ground.bases()[seed % len(ground.bases())]
        document, sql, what = spoil(*ground.base(name), seed)
        try:
            told, planned, verdict = three(ground, document, sql)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            findings.append(f"{seed} {name}: {what}\n   {type(error).__name__}: {error}")
            continue
        if verdict.refused and not told:
            findings.append(f"{seed} {name}: {what}\n   only the run: {verdict.refused[:300]}")
        elif verdict.contradicts(told):
            findings.append(f"{seed} {name}: {what}\n   only validate: {told[0][:300]}")
        elif planned and (not told or verdict.contradicts(told)):
            findings.append(f"{seed} {name}: {what}\n   only plan: {planned[:300]}")
        elif verdict.at_load:
            counts["at load"] += 1
        elif verdict.refused:
            counts["both refuse"] += 1
        else:
            counts["both content" if verdict.completed else "outside"] += 1
    print(counts)
    assert not findings, "\n".join(findings)


@pytest.mark.timeout(1200)
@pytest.mark.generated
def test_the_commands_agree_as_the_engine_does(ground: Ground, seeds: Seeds) -> None:
    findings: list[str] = []
    for seed in seeds(4):
        name = ground.bases()[seed % len(ground.bases())]
        document, sql, what = spoil(*ground.base(name), seed)
        project = ground.lay_out(document, sql)
        (project / "config.yaml").write_text(CONFIG)
        environ = {"DATABASE_URL": ground.url, "REDIS_URL": ground.redis, "JOB_MAX_RETRIES": "0"}
        headrace = Headrace(project, environ)
        called = document.get("name", "p") if isinstance(document, dict) else "p"
        validated = headrace("validate", "--json").json["items"]
        refused = [item for item in validated if item["severity"] == "error"]
        planned = headrace("plan", str(called)).code
        ran = headrace("run", str(called), "--json", timeout=250)
        if ran.code == 0 and (refused or planned):
            findings.append(f"{seed} {name}: {what}\n   the run completes: {refused} {planned}")
        if planned and not refused:
            findings.append(f"{seed} {name}: {what}\n   only plan refuses")
    assert not findings, "\n".join(findings)
