"""The compose file, the image, the locks and the Makefile, as far as they can be read."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
OURS = ("migrate", "daemon", "worker", "web")
PIN = re.compile(r"^([a-z0-9][a-z0-9-]*)==(\S+)", re.MULTILINE)

# What the Compose Specification allows, of the keys that this file uses; others are typing errors.
COMMAND = {"type": "array", "items": {"type": "string"}, "minItems": 1}
DURATION = {"type": "string", "pattern": "^[0-9]+[smh]$"}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image", "restart", "healthcheck"],
    "properties": {
        "image": {"type": "string"},
        "build": {"type": "string"},
        "init": {"type": "boolean"},
        "restart": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
        "stop_grace_period": DURATION,
        "cap_drop": COMMAND,
        "security_opt": COMMAND,
        "volumes": COMMAND,
        "ports": COMMAND,
        "command": COMMAND,
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {
                        "enum": [
                            "service_started",
                            "service_healthy",
                            "service_completed_successfully",
                        ]
                    }
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "oneOf": [{"required": ["disable"]}, {"required": ["test"]}],
            "properties": {
                "disable": {"const": True},
                "test": COMMAND,
                "interval": DURATION,
                "timeout": DURATION,
                "start_period": DURATION,
                "retries": {"type": "integer", "minimum": 1},
            },
        },
    },
}
COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["services", "volumes"],
    "patternProperties": {"^x-": {}},
    "properties": {
        "services": {"type": "object", "additionalProperties": SERVICE},
        "volumes": {"type": "object"},
    },
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def test_the_compose_file_keeps_to_the_specification(compose):
    problems = [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in Draft202012Validator(COMPOSE).iter_errors(compose)
    ]
    assert problems == []


def test_every_service_waits_only_for_services_that_exist_and_can_become_ready(compose):
    services = compose["services"]
    for service in services.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in services[name]["healthcheck"]
            if wanted["condition"] == "service_completed_successfully":
                assert services[name]["restart"] == "no"


def test_every_named_volume_is_declared(compose):
    mounts = [m for service in compose["services"].values() for m in service.get("volumes", [])]
    named = {mount.split(":")[0] for mount in mounts if not mount.startswith(".")}
    assert named == set(compose["volumes"])


def test_postgresql_is_healthy_only_once_it_listens_to_other_containers(compose):
    asked = compose["services"]["postgres"]["healthcheck"]["test"]
    assert asked[asked.index("--host") + 1] == "127.0.0.1"


def test_who_writes_exports_and_who_removes_what_is_left_of_them_share_a_volume(compose):
    mount = "exports:/app/exports"
    sharing = {name for name in OURS if mount in compose["services"][name]["volumes"]}
    assert sharing == {"daemon", "worker"}


def test_the_worker_can_be_scaled(compose):
    # A port or a name of its own would be taken by the first copy.
    assert "ports" not in compose["services"]["worker"]


def test_only_the_web_service_is_published_and_only_on_loopback(compose):
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {"web": ["127.0.0.1:${HEADRACE_PORT:-8000}:8000"]}


def test_what_listens_beyond_its_container_asks_for_a_token(compose):
    environment = compose["services"]["web"]["environment"]
    assert environment["HEADRACE_HOST"] == "0.0.0.0"
    assert environment["HEADRACE_API_TOKEN"] == "${HEADRACE_API_TOKEN:?set it in .env}"


def test_no_secret_has_a_default():
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / ".env.example").read_text()
    used = set(re.findall(r"\$\{(\w+)([^}]*)\}", text))

    used.remove(("HEADRACE_PORT", ":-8000"))
    assert {name for name, _ in used} == {"POSTGRES_PASSWORD", "HEADRACE_API_TOKEN"}
    assert all(rest.startswith(":?") for _, rest in used)
    for name, _ in used:
        assert re.search(rf"^{name}=$", example, re.MULTILINE)


def test_our_containers_have_no_privileges(compose):
    for name in OURS:
        assert compose["services"][name]["cap_drop"] == ["ALL"]
    assert re.search(r"^USER 10001$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_the_image_is_built_from_the_lock_on_a_pinned_base():
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)

    assert set(bases) == {"python:3.13.9-slim-trixie"}
    assert "--require-hashes" in text
    # It would ask a registry for what the engine has built in.
    assert "# syntax=" not in text
    assert "HEALTHCHECK" in text
    assert "/health/live" in text


def test_the_image_takes_in_only_what_it_runs():
    lines = (ROOT / ".dockerignore").read_text().split()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == {
        "runner", "jobs", "pipelines", "schema", "pyproject.toml", "setup.py",
        "requirements.lock", "README.md",
    }  # fmt: skip


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_a_hash_and_the_lock_names_no_host(lock):
    text = (ROOT / lock).read_text()

    assert "://" not in text
    for entry in re.split(r"\n(?=\S)", text.strip()):
        assert PIN.match(entry), entry
        assert "--hash=sha256:" in entry, entry


def test_the_locks_agree_and_hold_every_dependency():
    runtime = dict(PIN.findall((ROOT / "requirements.lock").read_text()))
    dev = dict(PIN.findall((ROOT / "requirements-dev.lock").read_text()))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^A-Za-z0-9-]", entry)[0].lower() for entry in project["dependencies"]}

    assert names <= runtime.keys()
    assert runtime.items() <= dev.items()


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # Not as a part of a make that runs these tests.
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_bare_make_lists_the_targets():
    shown = make().stdout
    for target in ("run", "demo", "test", "lint", "bench", "chaos", "docs", "clean"):
        assert f"make {target} " in shown


def test_a_python_that_is_too_old_is_refused_in_plain_words(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    done = make("install", f"PYTHON={old}")
    assert done.returncode == 2
    assert f"Headrace needs Python 3.11 or newer with venv; {old} is not that." in done.stderr
