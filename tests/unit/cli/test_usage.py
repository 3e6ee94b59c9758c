"""What the command line answers without any server."""

import argparse
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.arguments import parser
from headrace.cli.command_group import COMMANDS
from tests.support.cli import REPOSITORY, Headrace, environment

VALID = "name: good\nsteps:\n  - {id: one, job: Fibonacci, with: {n: 3}}\n"


@pytest.fixture
def headrace(tmp_path: Path) -> Headrace:
    (tmp_path / "pipelines").mkdir()
    return Headrace(tmp_path, {})


def test_help_names_every_command_and_loads_nothing_slow(headrace: Headrace):
    done = headrace("--help")
    assert done.code == 0
    assert all(f"    {name} " in done.out for name in COMMANDS)
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "headrace", "--help"],
        cwd=REPOSITORY,
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "sqlalchemy" not in loaded
    assert "jsonschema" not in loaded


def test_a_command_is_read_alone_as_among_all_others():
    def commands(only: str | None = None) -> dict[str, argparse.ArgumentParser]:
        return dict(next(one.choices for one in parser(only)._actions if one.choices))

    among = commands()
    assert set(among) == set(COMMANDS)

    for name in COMMANDS:
        alone = commands(name)
        assert list(alone) == [name]
        assert alone[name].format_help() == among[name].format_help()
    for other in ("--config", "runn"):
        assert list(commands(other)) == list(among), "help and guesses name them all"


def test_files_are_validated_without_loading_a_database_library(headrace: Headrace):
    (headrace.folder / "pipelines" / "good.yaml").write_text(VALID)
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "headrace", "validate"],
        cwd=headrace.folder,
        env=environment({}),
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    assert "headrace.jobs.base" in loaded
    assert "sqlalchemy" not in loaded


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]):
    from headrace.cli.arguments import parser

    with pytest.raises(SystemExit) as ended:
        parser().parse_args([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: headrace {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["vlidate"], 'did you mean "validate"?'),
        (["worker", "--processes", "0"], "takes a whole number from 1"),
        (["runs", "--limit", "many"], "takes a whole number from 1"),
        (["top", "--interval", "inf"], "takes seconds from 0.2 to 86400, not 'inf'"),
        (["top", "--interval", "nan"], "takes seconds from 0.2 to 86400, not 'nan'"),
        (["backfill", "x"], "--from, --to"),
        (["cron", "61 * * * *"], "minute 61 is out of range"),
        (["cron", "0 1 * * *", "--timezone", "Europe/Berln"], "Europe/Berlin"),
        (["cron", "0 1 * * *", "--country", "Germany"], 'did you mean "DE"?'),
        (["cron", "0 1 * * *", "--country", "DE", "--subdivision", "XX"], "there are: "),
        (["cron", "0 1 * * *", "--subdivision", "BE"], "--subdivision needs a --country"),
        (["cron", "0 1 * * *", "--days", "holidays"], "--days holidays needs a --country"),
        (["cron", "0 1 * * *", "--days", "weekdays"], "invalid choice"),
        (["retry"], "either an ID or --all-failed"),
        (["worker", "--queues", "hihg"], 'did you mean "high"?'),
        (["--config", "nowhere.yaml", "validate"], "no such configuration file"),
    ],
)
def test_wrong_usage_ends_2_with_a_message(headrace: Headrace, words: list[str], says: str):
    done = headrace(*words)
    assert done.code == 2
    assert says in done.err
    assert done.out == ""


def test_validate_counts_valid_pipelines(headrace: Headrace):
    (headrace.folder / "pipelines" / "good.yaml").write_text(VALID)
    done = headrace("validate")
    assert (done.code, done.out) == (0, "1 pipeline is valid\n")


def test_validate_shows_all_problems_with_their_places_and_ends_1(headrace: Headrace):
    folder = headrace.folder / "pipelines"
    (folder / "good.yaml").write_text(VALID)
    (folder / "bad.yaml").write_text(
        "name: bad\nsteps:\n  - {id: a, job: Fibonaci, with: {n: 3}}\n  - {id: b, job: Fibonacci}\n"
    )
    (folder / "empty.yaml").write_text("")
    done = headrace("validate")
    assert done.code == 1
    assert "pipelines/bad.yaml:3:18: " in done.out
    assert 'did you mean "Fibonacci"?' in done.out
    assert "pipelines/bad.yaml:4:" in done.out
    assert "pipelines/empty.yaml:1:1: " in done.out
    assert "in 2 files; 1 pipeline valid" in done.err
    listed = headrace("validate", "--json")
    assert listed.code == 1
    assert listed.json["valid"] == ["good"]
    assert {item["file"] for item in listed.json["items"]} == {
        "pipelines/bad.yaml",
        "pipelines/empty.yaml",
    }


def test_validate_takes_files_and_folders(headrace: Headrace):
    other = headrace.folder / "elsewhere"
    other.mkdir()
    (other / "good.yaml").write_text(VALID)
    assert headrace("validate", "elsewhere").out == "1 pipeline is valid\n"
    assert headrace("validate", "elsewhere/good.yaml").out == "1 pipeline is valid\n"
    missing = headrace("validate", "elsewhere/god.yaml")
    assert missing.code == 1
    assert "elsewhere/god.yaml: there is no such file" in missing.out


def test_a_mistake_in_the_configuration_ends_2_with_its_place(headrace: Headrace):
    (headrace.folder / "config.yaml").write_text("prot: 1\n")
    done = headrace("validate")
    assert done.code == 2
    assert "config.yaml:1:1: " in done.err


def test_cron_shows_what_a_change_of_the_clocks_does(headrace: Headrace):
    words = ("cron", "30 1 * * *", "--timezone", "America/New_York", "--from", "2025-11-02")
    done = headrace(*words, "-n", "1")
    assert "repeated hour" in done.out
    listed = headrace(*words, "-n", "2", "--json").json["items"]
    assert [item["instant"] for item in listed] == ["2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"]


def test_cron_shows_the_days_of_a_country(headrace: Headrace):
    words = ("cron", "0 6 * * *", "--country", "DE", "--from", "2026-12-24", "--json")
    assert [item["instant"][:10] for item in headrace(*words, "-n", "3").json["items"]] == [
        "2026-12-24",
        "2026-12-28",
        "2026-12-29",
    ]
    holidays = headrace(*words, "--days", "holidays", "-n", "2").json["items"]
    assert [item["instant"][:10] for item in holidays] == ["2026-12-25", "2026-12-26"]


def test_cron_says_where_nothing_is_left(headrace: Headrace):
    done = headrace("cron", "0 6 * * sat", "--days", "working")
    assert (done.code, done.out) == (0, "then nothing for ten years\n")


def test_plan_shows_waves_rendered_sql_and_next_instants(headrace: Headrace):
    folder = headrace.folder / "pipelines"
    (folder / "sql").mkdir()
    (folder / "sql" / "count.sql").write_text("SELECT count(*) FROM t WHERE day = {{ params.day }}")
    (folder / "sums.yaml").write_text(
        "name: sums\nschedule: '0 1 * * *'\nparams: {day: {type: date, required: true}}\nsteps:\n"
        "  - {id: first, job: Fibonacci, with: {n: 3}}\n"
        "  - id: count\n    job: RunSql\n    depends_on: [first]\n"
        "    with: {sql_path: sql/count.sql, params: {day: '{{ params.day }}'}}\n"
    )
    done = headrace("plan", "sums", "-p", "day=2024-02-29")
    assert done.code == 0, done.err
    assert done.out.index("wave 1") < done.out.index("first: Fibonacci")
    assert done.out.index("wave 2") < done.out.index("count: RunSql on medium after first")
    assert "| SELECT count(*) FROM t WHERE day = :p1" in done.out
    assert "2024-02-29" in done.out
    assert done.out.count("next 2") == 5
    listed = headrace("plan", "sums", "-p", "day=2024-02-29", "--json").json
    assert [(step["id"], step["wave"]) for step in listed["steps"]] == [("first", 1), ("count", 2)]
    assert headrace("plan", "sums").code == 1
    assert 'did you mean "sums"?' in headrace("plan", "sms").err


def test_plan_tells_that_items_are_known_when_their_step_starts(headrace: Headrace):
    (headrace.folder / "pipelines" / "fan.yaml").write_text(
        "name: fan\nparams: {day: {type: date, default: 2026-01-31}}\nsteps:\n"
        "  - {id: list, job: RunSql, with: {sql: select 1 as n}}\n"
        "  - id: each\n    job: RunSql\n    depends_on: [list]\n"
        "    foreach: {items: '{{ steps.list.result.rows }}', as: region}\n"
        "    with:\n      sql: 'select {{ params.n }}, {{ params.day }}'\n"
        "      params: {n: '{{ region.n }}'}\n"
    )
    done = headrace("plan", "fan")
    assert done.code == 0, done.out
    assert "each: RunSql on medium after list" in done.out
    told = 'foreach region in "{{ steps.list.result.rows }}": their number is known at its start'
    assert told in done.out
    assert "| select :p1, :p2" in done.out
    listed = headrace("plan", "fan", "--json").json["steps"]
    assert [step["foreach"] for step in listed] == [
        None,
        {"items": "{{ steps.list.result.rows }}", "as": "region"},
    ]


def test_plan_ends_1_where_a_steps_sql_cannot_be_rendered(headrace: Headrace):
    (headrace.folder / "pipelines" / "bad.yaml").write_text(
        "name: bad\nsteps:\n  - {id: a, job: RunSql, with: {sql: 'SELECT {{ params.dya }}'}}\n"
    )
    done = headrace("plan", "bad")
    assert done.code == 1
    assert "dya" in done.out


@pytest.mark.parametrize("word", ["schema", "--help"])
def test_a_closed_pipe_is_no_error(headrace: Headrace, word: str):
    env = environment({})
    env.pop("PYTHONUNBUFFERED", None)  # What is buffered is written at the end.
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", word],
        cwd=headrace.folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    assert (process.wait(), error) == (0, b"")


def test_init_writes_a_project_that_is_valid_and_never_overwrites(tmp_path: Path):
    headrace = Headrace(tmp_path, {})
    assert headrace("init", "shop").code == 0
    assert Headrace(tmp_path / "shop", {})("validate").out == "2 pipelines are valid\n"
    (tmp_path / "shop" / "config.yaml").write_text("# mine\n")
    again = headrace("init", "shop")
    assert again.code == 2
    assert "already exists" in again.err
    assert (tmp_path / "shop" / "config.yaml").read_text() == "# mine\n"


def test_init_tells_a_call_that_works_here_and_editors_the_schema(tmp_path: Path):
    environ = {"PATH": "/usr/bin:/bin"}
    said = Headrace(tmp_path, environ)("init", "shop").out
    (call,) = re.findall(r"in this environment: cd shop && (.*) run hello$", said, re.MULTILINE)
    assert call != "headrace"
    asked = subprocess.run([*call.split(), "validate"], cwd=tmp_path / "shop",
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert asked.stdout == "2 pipelines are valid\n", asked.stderr
    first = (tmp_path / "shop/pipelines/hello.yaml").read_text().partition("\n")[0]
    schema = tmp_path / "shop/pipelines" / first.partition("$schema=")[2]
    assert "CountGreetings" in schema.read_text()


def test_a_job_class_of_the_projects_own_folder_is_listed(tmp_path: Path):
    Headrace(tmp_path, {})("init", "shop")
    listed = Headrace(tmp_path / "shop", {})("jobs", "--types", "--json").json["items"]
    names = [item["name"] for item in listed]
    assert "CountGreetings" in names
    assert "RunSql" in names


def test_the_examples_are_valid():
    assert Headrace(REPOSITORY, {})("validate").code == 0


def test_postgresql_away_is_one_clear_line(headrace: Headrace):
    environ = {
        "DATABASE_URL": "postgresql://me:canary-word@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    done = Headrace(headrace.folder, environ)("runs")
    assert done.code == 1
    assert done.err.startswith("PostgreSQL does not answer: ")
    assert done.err.count("\n") == 1
    assert "canary-word" not in done.err
