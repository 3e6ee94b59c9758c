"""What config.yaml takes from the environment is its own: no job has it, nothing shows it."""

import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from headrace.declarations.config import Settings, hidden_values, load_settings
from headrace.observe import redaction
from headrace.store.embedded.place import place_of
from tests.support.cli import Headrace
from tests.support.old_home import psql

PASSWORD = "p@ss/w0rd:%x"
# Many commands, one after the other, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)
TOKEN = "t0ken-of-the-api"
WHOLE = "redacted-hook-9d1f"
JOB = """
import os
from sqlalchemy import text
from jobs.base import BaseJob, logger


class Leaks(BaseJob):
    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how

    def handle(self):
        value = os.environ.get("OPEN_COPY", "") or "nothing"
        if self.how == "logs":
            logger.info("the password is %s", value)
            return {"it": value, value: [value]}
        if self.how == "raises":
            raise ValueError(value)
        if self.how == "prints":
            print(value, flush=True)
            return None
        with self.session() as session:
            session.execute(text("select cast(:v as int)"), {"v": value})
"""
PIPELINE = """
name: leaks
steps:
  - {id: shell, job: ShellCommand, with: {command: [env]}}
  - {id: logs, job: Leaks, with: {how: logs}}
  - {id: raises, job: Leaks, with: {how: raises}}
  - {id: sql, job: Leaks, with: {how: sql}}
  - {id: works, job: RunSql, with: {connection: wh, sql: select 1 as one, transaction: true}}
"""


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    for name in ("jobs", "pipelines"):
        (tmp_path / name).mkdir()
    (tmp_path / "jobs" / "leaks.py").write_text(JOB)
    (tmp_path / "pipelines" / "leaks.yaml").write_text(PIPELINE)
    sockets = quote(str(place_of(tmp_path / ".headrace").sockets), safe="")
    config = {
        "shell_commands": True,
        "connections": {
            "wh": f"postgresql://headrace:${{WH_PW}}@/headrace?host={sockets}",
            "gone": "${GONE_URL}",
        },
    }
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    environ = {
        "JOB_MAX_RETRIES": "0",
        "WH_PW": quote(PASSWORD, safe=""),
        "GONE_URL": f"postgresql://u:{WHOLE}@127.0.0.1:1/x",
        # The same value under a name that no setting speaks of: shown nowhere all the same.
        "OPEN_COPY": PASSWORD,
        "HEADRACE_API_TOKEN": TOKEN,
    }
    return Headrace(tmp_path, environ)


def forms() -> list[str]:
    return [PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), WHOLE, TOKEN]


def test_what_the_settings_take_is_shown_and_stored_nowhere(headrace: Headrace):
    with headrace.started("up", "--no-web", "--workers", "1") as up:
        up.wait_for("are active")
        ran = headrace("run", "leaks")
        run = headrace("runs", "--json").json["items"][0]["id"]
        jobs = headrace("jobs", "--json").json["items"]
        shown = [ran, *(headrace(word, run) for word in ("show", "logs"))]
        shown += [headrace(word, run, "--json") for word in ("show", "logs")]
        tables = "job job_attempt job_log run worker".split()
        url = headrace("db", "url").out.strip()
        whole = psql(url, *(f"SELECT * FROM headrace.{table}" for table in tables))
        whole += up.output()
        up.stop()
    by_step = {job["step"]: job for job in jobs}

    assert by_step["works"]["status"] == "completed", by_step["works"]["error"]
    assert by_step["logs"]["result"] == {"it": "***", "***": ["***"]}
    assert by_step["raises"]["error"].endswith("***")
    assert "***" in by_step["sql"]["error"]
    everything = whole + "".join(done.out + done.err for done in shown)
    for secret in forms():
        assert secret not in everything
    for name in ("WH_PW", "GONE_URL", "HEADRACE_API_TOKEN"):
        assert f"{name}=" not in json.dumps(by_step["shell"])
    assert "OPEN_COPY=***" in by_step["shell"]["result"]["output"]


def test_no_pipeline_names_what_the_settings_take(headrace: Headrace):
    (headrace.folder / "pipelines" / "names.yaml").write_text(
        "name: names\n"
        "steps:\n"
        "  - id: a\n"
        "    job: ShellCommand\n"
        "    env: {COPY: '${WH_PW}', WH_PW: other}\n"
        "    with: {command: [env]}\n"
    )

    told = headrace("validate", "pipelines/names.yaml")

    assert told.code == 1
    said = told.out + told.err
    assert "${WH_PW} cannot be read by a job: config.yaml takes it" in said
    assert '"WH_PW" cannot be set: config.yaml takes it' in said


def test_a_caller_cannot_have_the_worker_s_variables_sent_anywhere(headrace: Headrace):
    config = json.loads((headrace.folder / "config.yaml").read_text())
    config |= {"http": {"allowed_hosts": ["127.0.0.1"]}, "port": 0}
    (headrace.folder / "config.yaml").write_text(json.dumps(config))
    calls: list[dict[str, object]] = [
        {"url": "http://127.0.0.1:9/${OPEN_COPY}", "path": "x"},
        {"url": "http://127.0.0.1:9/", "path": "x", "headers": {"X": "a${OPEN_COPY}"}},
        {"url": "http://127.0.0.1:9/", "path": "x", "query": {"x": ["${OPEN_COPY}"]}},
        {
            "url": "http://127.0.0.1:9/",
            "path": "x",
            "method": "POST",
            "body": {"a": [{"b": "${OPEN_COPY}"}]},
        },
    ]
    with headrace.started("up", "--workers", "0") as up:
        up.wait_for("serving on")
        port = int(up.output().partition("serving on http://127.0.0.1:")[2].split()[0])
        for with_ in calls:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/jobs",
                json={"job": "HttpExtract", "with": with_},
                headers={"Authorization": f"Bearer {TOKEN}"},
            )
            assert answer.status_code == 422
            assert "only in a pipeline file" in answer.json()["detail"]
        assert PASSWORD not in up.output()
        up.stop()


# -- which of them -------------------------------------------------------------------------


@pytest.fixture
def _forgotten():
    yield
    redaction.keep((), ())


def load(tmp_path: Path, config: object, environ: dict[str, str]) -> Settings:
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    return load_settings(environ, config_file=tmp_path / "config.yaml")


def test_all_of_a_connection_is_withheld_and_its_password_hidden(tmp_path: Path):
    url = "postgresql://${WH_USER}:${WH_PW}@${WH_HOST}:5432/dwh?sslpassword=${KEY_PW}"
    environ = {"WH_USER": "etl", "WH_PW": "a%2Fb%40c", "WH_HOST": "warehouse", "KEY_PW": "keypw"}

    settings = load(tmp_path, {"connections": {"wh": {"url": url}}}, environ)

    assert settings.withheld == set(environ)
    assert hidden_values(settings) == {"a%2Fb%40c", "a/b@c", "keypw"}
    assert "a%2Fb" not in repr(settings)


def test_folders_and_numbers_stay_open(tmp_path: Path):
    config = {"pipelines": "${DATA}/pipelines", "port": "${PORT}", "home": "${HOME}/x"}
    environ = {"DATA": str(tmp_path), "PORT": "8001", "HOME": str(tmp_path)}

    settings = load(tmp_path, config, environ)

    assert settings.withheld == set()
    assert hidden_values(settings) == set()


def test_a_password_that_is_written_down_is_hidden_as_well(tmp_path: Path):
    urls = {
        "database_url": "postgresql://a:one-secret@h/d",
        "redis_url": "redis://:two%20secret@h:6379/0",
        "connections": {"x": "postgresql:///d?host=h&password=three-secret"},
        "api_token": "four-secret",
    }

    settings = load(tmp_path, urls, {})

    assert hidden_values(settings) == {
        "one-secret", "two%20secret", "two secret", "three-secret", "four-secret",
    }  # fmt: skip


def test_a_password_that_is_the_user_s_name_hides_nothing(tmp_path: Path):
    settings = load(tmp_path, {"database_url": "postgresql://postgres:postgres@h/postgres"}, {})

    assert hidden_values(settings) == set()


@pytest.mark.usefixtures("_forgotten")
def test_the_settings_values_stay_hidden_from_job_to_job():
    redaction.keep(["of-the-settings", "xy"], ["NAME"])
    redaction.hide("of-the-job")
    redaction.forget()

    shown = redaction.redacted("of-the-settings of-the-job xy xyz taxy")

    assert shown == "*** of-the-job *** xyz taxy"
    assert redaction.why_not_read("NAME")
    assert redaction.why_not_set("NAME")
