"""The environment over config.yaml over the defaults; every mistake told at once."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from headrace.declarations.config import ConfigProblems, Settings, load_settings, mask_url
from headrace.declarations.config.environment import VARIABLES
from headrace.declarations.schemas import schema
from headrace.declarations.source import parse
from headrace.errors import ConfigError, ProblemsError
from headrace.model.connection import NamedConnection
from headrace.model.retry import RetryPolicy

EXAMPLE = Path(__file__).parents[3] / "config.example.yaml"
CANARY = "s3cret-canary"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    Path("config.yaml").write_text(text)
    return load_settings(environ or {})


def mistakes(text: str = "", environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, environ)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_without_file_and_environment_the_defaults_hold(project: Path) -> None:
    settings = load_settings({})

    assert settings == Settings(project, project / ".headrace", project / "pipelines")
    assert settings.retry == RetryPolicy(limit=3, intervals_s=(60.0, 300.0, 900.0))


def test_the_example_file_is_the_defaults(project: Path) -> None:
    from_example = load(EXAMPLE.read_text())

    assert from_example == Settings(
        project,
        project / ".headrace",
        project / "pipelines",
        config_file=project / "config.yaml",
    )


def described_keys(part: Mapping[str, Any], prefix: str = "") -> dict[str, Mapping[str, Any]]:
    found = {}
    for key, value in part.get("properties", {}).items():
        found[prefix + key] = value
        found |= described_keys(value, f"{prefix}{key}.")
    return found


def test_the_example_file_shows_every_key_of_the_schema_with_its_default() -> None:
    data = parse(EXAMPLE.read_text(), "config.example.yaml").data
    keys = described_keys(schema("config"))

    nested = ("retry", "http", "notifications", "telemetry")
    shown = {key: value for key, value in data.items() if key not in nested}
    shown |= {f"{one}.{key}": value for one in nested for key, value in data[one].items()}

    assert shown == {key: value["default"] for key, value in keys.items() if key not in nested}


def test_every_key_of_the_schema_is_described_and_names_its_variable() -> None:
    keys = described_keys(schema("config"))

    assert all(len(value["description"]) > 20 for value in keys.values())
    for variable, (path, _, _) in VARIABLES.items():
        assert f"Environment: {variable}" in keys[".".join(map(str, path))]["description"]
        assert f"Variable: {variable}" in EXAMPLE.read_text()


def test_the_environment_overrides_the_file(project: Path) -> None:
    settings = load(
        "timeout: 1h\nport: 9000\nretry: {limit: 5, jitter: true}\nhome: state\n",
        {
            "DATABASE_URL": "postgres://h/d",
            "REDIS_URL": "redis://h",
            "JOB_DEFAULT_QUEUE": "low",
            "JOB_TIMEOUT": "90",
            "JOB_MAX_RETRIES": "1",
            "JOB_RETRY_INTERVAL": "0.5, 2m,10",
            "HEADRACE_PORT": "8001",
            "HEADRACE_LOG_LEVEL": "DEBUG",
        },
    )

    assert settings.database_url == "postgres://h/d"
    assert settings.redis_url == "redis://h"
    assert (settings.default_queue, settings.timeout_s, settings.port) == ("low", 90, 8001)
    assert settings.retry == RetryPolicy(1, jitter=True, intervals_s=(0.5, 120.0, 10.0))
    assert settings.home == project / "state"
    assert settings.log_level == "debug"


def test_an_empty_variable_counts_as_unset() -> None:
    assert load("port: 9000", {"HEADRACE_PORT": "", "DATABASE_URL": " "}).port == 9000


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("JOB_TIMEOUT", "abc", "seconds"),
        ("JOB_TIMEOUT", "0", "more than 0s"),
        ("JOB_MAX_RETRIES", "-1", "a whole number"),
        ("JOB_MAX_RETRIES", "٣", "a whole number"),
        ("JOB_RETRY_INTERVAL", "60,x", "seconds separated by commas"),
        ("JOB_DEFAULT_QUEUE", "hihg", 'did you mean "high"?'),
        ("HEADRACE_PORT", "99999", "65535"),
        ("HEADRACE_LOG_FORMAT", "xml", "text, json"),
        ("DATABASE_URL", "mysql://h/d", "postgresql://"),
        ("REDIS_URL", "http://h", "redis://"),
        ("HEADRACE_CONFIG", "nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_variable_is_named_with_what_it_takes(name: str, value: str, takes: str) -> None:
    told = mistakes(environ={name: value})

    assert f"environment variable {name}" in told
    assert takes in told


def test_all_mistakes_of_file_and_environment_are_told_at_once() -> None:
    text = "prot: 1\nport: abc\nretry: {limit: -1, intervals: [60, 5x]}\nqueues: high\nport: 2\n"
    Path("config.yaml").write_text(text)

    with pytest.raises(ConfigProblems) as caught:
        load_settings({"JOB_TIMEOUT": "abc"})

    assert isinstance(caught.value, ProblemsError)
    assert [(p.file, p.line, p.column, p.code) for p in caught.value.problems] == [
        ("config.yaml", 1, 1, "unknown-key"),
        ("config.yaml", 2, 7, "wrong-type"),
        ("config.yaml", 3, 16, "bad-value"),
        ("config.yaml", 3, 32, "wrong-type"),
        ("config.yaml", 3, 36, "bad-duration"),
        ("config.yaml", 4, 9, "wrong-type"),
        ("config.yaml", 5, 1, "duplicate-key"),
        ("environment variable JOB_TIMEOUT", 0, 0, "bad-value"),
    ]
    assert all(p.hint for p in caught.value.problems)


def test_a_reference_takes_its_value_from_the_environment() -> None:
    settings = load(
        "database_url: postgresql://u:${PW}@h/d\nport: ${PORT}\napi_token: $${PW}\n"
        "connections: {a: 'postgresql://${PW}', b: {url: 'postgresql://${PW}/b'}}\n"
        "retry: {limit: '${LIMIT}'}\n",
        {"PW": "010", "PORT": "8123", "LIMIT": "2"},
    )

    assert settings.database_url == "postgresql://u:010@h/d"
    assert (settings.port, settings.retry.limit) == (8123, 2)
    assert settings.api_token == "${PW}"
    assert settings.connections == {
        "a": NamedConnection("postgresql://010"),
        "b": NamedConnection("postgresql://010/b"),
    }


def test_a_reference_to_an_unset_variable_has_its_place() -> None:
    told = mistakes("host: 127.0.0.1\ndatabase_url: postgresql://u:${DB_PW}@h/d\n")

    assert "config.yaml:2:15: the environment variable DB_PW is not set [unset-variable]" in told


def test_folders_of_the_file_are_relative_to_it_and_those_of_variables_to_here(
    project: Path,
) -> None:
    folder = project / "etc"
    folder.mkdir()
    (folder / "headrace.yaml").write_text("home: state\npipelines: flows\n")

    settings = load_settings({"HEADRACE_CONFIG": "etc/headrace.yaml", "HEADRACE_PIPELINES": "mine"})

    assert settings.project == folder
    assert settings.home == folder / "state"
    assert settings.pipelines == project / "mine"


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_a_file_that_sets_nothing_is_fine(text: str) -> None:
    assert load(text).port == 8000


@pytest.mark.parametrize("text", ["- a\n", "a\n", "a: b: c\n", "\ta: 1\n", "a: \xff\0"])
def test_a_file_that_is_no_mapping_is_told_with_its_place(text: str) -> None:
    assert re.match(r"config\.yaml:1:\d+: ", mistakes(text))


def test_the_default_queue_is_one_of_the_queues() -> None:
    assert "unknown-queue" in mistakes("queues: [etl]\n")
    assert load("queues: [etl]\ndefault_queue: etl\n").queues == ("etl",)


def test_no_secret_shows_in_settings_or_mistakes() -> None:
    settings = load(
        f"api_token: {CANARY}\nconnections: {{a: 'postgresql://u:{CANARY}@h/d'}}\n",
        {"DATABASE_URL": f"postgresql://u:{CANARY}@h/d", "REDIS_URL": f"redis://:{CANARY}@h"},
    )
    told = mistakes(
        f"api_token: [{CANARY}]\nconnections: {{a: '{CANARY}', b: {{url: {CANARY}}}}}\n",
        {"DATABASE_URL": f"mysql://u:{CANARY}@h/d", "REDIS_URL": CANARY},
    )

    assert CANARY not in repr(settings) + str(settings) + f"{settings!r:>5}"
    assert told.count("hint") == 5
    assert CANARY not in told
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:p@ss@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h/0", "redis://:***@h/0"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql:///d?host=/run&password=p&x=1", "postgresql:///d?host=/run&password=***&x=1"),
    ],
)
def test_a_masked_url_shows_no_password(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_a_connection_may_say_how_long_it_waits_for_locks_and_its_zone() -> None:
    settings = load(
        "connections:\n  a: {url: 'postgresql://h/a', lock_timeout: 2m, timezone: Europe/Berlin}\n"
        "  b: {url: 'postgresql://h/b', lock_timeout: 0s}\n  c: postgresql://h/c\n"
    )

    assert settings.connections == {
        "a": NamedConnection("postgresql://h/a", 120.0, "Europe/Berlin"),
        "b": NamedConnection("postgresql://h/b", 0.0),
        "c": NamedConnection("postgresql://h/c"),
    }
    assert "postgresql://" not in repr(settings)


def test_a_database_beside_the_control_database_is_named_by_its_name_alone() -> None:
    assert load("").connections == {"warehouse": NamedConnection("control:///headrace_warehouse")}
    assert load("connections: {mart: 'control:///mart'}\n").connections == {
        "mart": NamedConnection("control:///mart")
    }


@pytest.mark.parametrize("url", ["control://host/mart", "control:///", "control:///Mart-1"])
@pytest.mark.parametrize(
    ("written", "place"), [("'{}'", "config.yaml:2:6"), ("{{url: '{}'}}", "config.yaml:2:12")]
)
def test_a_bad_name_of_such_a_database_is_a_mistake_with_its_place(
    url: str, written: str, place: str
) -> None:
    with pytest.raises(ConfigProblems, match="is written control:///NAME") as refused:
        load(f"connections:\n  a: {written.format(url)}\n")

    assert str(refused.value).startswith(f"{place}: a database beside")


def test_an_unknown_zone_of_a_connection_is_a_mistake_with_its_place() -> None:
    with pytest.raises(ConfigProblems, match=r'there is no time zone "Europe/Berln"') as refused:
        load("connections:\n  a: {url: 'postgresql://h/a', timezone: Europe/Berln}\n")

    assert "Europe/Berlin" in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pa/ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:pa@ss@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:secret", "postgresql://u:***"),
        ("postgresql://h:5432/d", "postgresql://h:5432/d"),
        ("postgresql://h1:1,h2:2/d", "postgresql://h1:1,h2:2/d"),
    ],
)
def test_a_password_that_was_not_escaped_is_masked_too(url: str, shown: str) -> None:
    assert mask_url(url) == shown
