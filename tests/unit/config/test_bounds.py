"""The bounds of settings, where what jobs write may lie, and which values are kept secret."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.declarations.config import ConfigProblems, Settings, hidden_values, load_settings


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str | None, environ: Mapping[str, str] | None = None) -> Settings:
    if text is not None:
        Path("config.yaml").write_text(text)
    return load_settings(environ or {})


def refused(text: str | None, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigProblems) as caught:
        load(text, environ)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "home", "place", "folder", "kept"),
    [
        ("output_folders: [jobs]\n", "", "config.yaml:1:18", "jobs", "jobs"),
        ("output_folders: [out, sql/x]\n", "", "config.yaml:1:23", "sql/x", "sql"),
        ("output_folders: [pipelines/x]\n", "", "config.yaml:1:18", "pipelines/x", "pipelines"),
        ("home: exports\n", "", "config.yaml:1:1", "exports", "exports"),
        ("pipelines: a/b\n", "a/exports", "config.yaml:1:12", "a/exports", "a/exports"),
        (None, "exports", "settings", "exports", "exports"),
    ],
)
def test_jobs_write_nowhere_where_code_pipelines_or_state_lie(
    project: Path, text: str | None, home: str, place: str, folder: str, kept: str
) -> None:
    told, hint = refused(text, {"HEADRACE_HOME": home})
    assert told == (
        f"{place}: jobs must not write to {project / folder}: it overlaps {project / kept}"
        " [bad-folder]"
    )
    assert hint == "  hint: name folders apart from code, pipelines, settings and `home`"


def test_folders_for_what_jobs_write_are_relative_to_the_file(project: Path) -> None:
    found = load("output_folders: [out, ../beside]\n")
    assert found.outputs() == (project / "out", project.parent / "beside")
    assert load("").outputs() == (project / "exports",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timeout: 4000d\n", '1:10: "4000d" is longer than ten years'),
        ("retry: {intervals: [1s, 4000d]}\n", '1:25: "4000d" is longer than ten years'),
        ("timeout: 0s\n", '1:10: "timeout" must be more than 0s'),
        ("session_lifetime: 0s\n", '1:19: "session_lifetime" must be more than 0s'),
    ],
)
def test_a_duration_out_of_its_bounds_is_refused(text: str, told: str) -> None:
    assert refused(text)[0] == f"config.yaml:{told} [bad-duration]"


@pytest.mark.parametrize("key", ["grace", "kill_after", "retention", "log_retention"])
def test_other_durations_may_be_none_and_none_is_too_long(key: str) -> None:
    assert getattr(load(f"{key}: 0s\n"), f"{key}_s") == 0
    assert "is longer than ten years" in refused(f"{key}: 4000d\n")[0]


def test_null_switches_the_ends_of_runs_and_logs_off() -> None:
    found = load("retention: null\nlog_retention: null\n")
    assert (found.retention_s, found.log_retention_s) == (None, None)
    assert (load("").retention_s, load("").log_retention_s) == (365 * 86400.0, 30 * 86400.0)


def test_a_variable_sets_a_key_of_a_mapping_that_the_file_leaves_empty() -> None:
    assert load("retry:\n", {"JOB_MAX_RETRIES": "2"}).retry.limit == 2
    assert load("retry: {jitter: true}\n", {"JOB_MAX_RETRIES": "2"}).retry.jitter


def test_a_file_that_cannot_be_read_is_told() -> None:
    assert refused("#" * 1_000_001)[0].startswith("config.yaml:1:1: the file is larger than 1 MB")


def test_every_secret_in_urls_and_options_is_hidden_and_nothing_else() -> None:
    found = load(
        "database_url: 'postgresql://u:p%40ss@h:5432/d?sslpassword=deep&passfile=/x&a=b'\n"
        "redis_url: 'redis://:r3d@r/0'\n"
        "api_token: long-enough\n"
        "connections: {a: {url: 'mysql+pymysql://u:sp@h/d'}, b: 'postgresql://u@h/d'}\n"
        "storage:\n  's3://b': {key: open, secret: s1, client_kwargs: {token: s2, region: r},\n"
        "    token_count: 5, passphrase: s3, key_filename: /home/x, pkey: s4, use_token: true}\n"
    )
    assert hidden_values(found) == {
        "p%40ss", "p@ss", "deep", "/x", "r3d", "long-enough", "sp", "s1", "s2", "s3", "s4",
    }  # fmt: skip
    # What stands in the open beside it could not be told from the rest of the text.
    same = load("database_url: 'postgresql://u:u@h/d'\nredis_url: 'redis://:h@h:6379'\n")
    assert hidden_values(same) == set()


def test_what_is_shown_of_a_receiver_is_no_secret_and_withheld_all_the_same() -> None:
    environ = {f"A{number}": f"value-{number}" for number in range(9)}
    found = load(
        "notifications:\n  allowed_hosts: ['${A0}', value-1, hooks.example.com]\n  receivers:\n"
        "    post: {type: email, url: 'smtp://${A1}', from: '${A2}@b.de', to: ['${A3}@b.de'],\n"
        "           username: '${A4}', password: '${A5}'}\n"
        "    call: {type: webhook, url: 'https://hooks.example.com/${A6}',\n"
        "           headers: {X: '${A7}'}}\n"
        "public_url: 'https://${A8}'\n",
        environ,
    )

    assert found.withheld == {f"A{number}" for number in range(1, 8)}
    assert set(found.secrets) == {f"value-{number}" for number in (1, 3, 5, 6, 7)}
