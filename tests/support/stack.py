"""A compose stack in a folder of its own: this repository's, or that of a new project."""

import json
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib import request

from tests.support.ports import free_port
from tests.support.processes import wait_until

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-the-tests-of-the-compose-file"
PASSWORD = "0123456789abcdef"
# What the compose file mounts and the image takes in, and the files that say so.
_TAKEN = (
    ".dockerignore", ".env.example", "Dockerfile", "README.md", "docker-compose.yml", "jobs",
    "LICENSE", "pipelines", "pyproject.toml", "requirements.lock", "runner", "schema", "setup.py",
)  # fmt: skip
_OURS = ("migrate", "daemon", "worker", "web")


def copy_repository(folder: Path) -> None:
    """Fill a folder as a fresh clone is."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in _TAKEN:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder / name)


def images(folder: Path = ROOT, file: str = "docker-compose.yml") -> list[str]:
    """Return the images that a folder's Dockerfile and compose file begin with."""
    dockerfile = re.findall(r"^FROM (\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    compose = re.findall(r"^ +image: ([\w./-]+:\S+)", (folder / file).read_text(), re.MULTILINE)
    return sorted({*dockerfile, *compose})


class Stack:
    """A project of its own on the engine: own containers, own volumes, own port.

    `prepare` fills the folder, which then has a compose file of the name `file`.
    """

    def __init__(
        self,
        folder: Path,
        compose: list[str],
        *,
        prepare: Callable[[Path], None] = copy_repository,
        file: str = "docker-compose.yml",
    ) -> None:
        self.folder = folder
        self._compose = compose
        self._file = file
        self._name = f"headrace-test-{uuid.uuid4().hex[:8]}"
        self._port = free_port()
        prepare(folder)
        # An image of its own: a stack of the user's may run from the one called `headrace`.
        images = "".join(f"  {service}: {{image: {self._name}}}\n" for service in _OURS)
        (folder / "images.yml").write_text(f"services:\n{images}")
        (folder / ".env").write_text(self._settings())

    def _settings(self) -> str:
        # .env.example, filled in.
        text = (self.folder / ".env.example").read_text()
        for name, value in (
            ("POSTGRES_PASSWORD", PASSWORD),
            ("HEADRACE_API_TOKEN", TOKEN),
            ("COMPOSE_PROJECT_NAME", self._name),
        ):
            assert text.count(f"\n{name}=") == 1
            (line,) = (line for line in text.splitlines() if line.startswith(f"{name}="))
            text = text.replace(f"\n{line}", f"\n{name}={value}")
        return f"{text}HEADRACE_PORT={self._port}\n"

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """Call Compose in the project's folder; what it says on standard output."""
        override = "docker-compose.override.yml"
        files = [self._file, "images.yml"]
        if (self.folder / override).exists():
            files.append(override)
        named = [word for file in files for word in ("-f", file)]
        unset = ("POSTGRES_PASSWORD", "HEADRACE_", "COMPOSE_")
        done = subprocess.run(
            [*self._compose, *named, *arguments],
            cwd=self.folder,
            env={name: value for name, value in os.environ.items() if not name.startswith(unset)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def one(self, service: str) -> str:
        """Return the id of a service's first container."""
        return self("ps", "-q", service).split()[0]

    def inside(self, service: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run a program in a service's first container, as the service's user."""
        called = ["docker", "exec", self.one(service), *words]
        return subprocess.run(called, capture_output=True, text=True, check=False)

    def is_healthy(self, service: str) -> bool:
        state = ["docker", "inspect", "--format", "{{.State.Health.Status}}", self.one(service)]
        told = subprocess.run(state, capture_output=True, text=True, check=True).stdout
        return told.strip() == "healthy"

    def ask(self, path: str, body: Any = None, *, token: str = TOKEN) -> Any:
        """Return what the web service answers on the host's port."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        asked = request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            headers=headers if token else {},
            data=None if body is None else json.dumps(body).encode(),
        )
        with request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def job(self, name: str, **called_with: Any) -> Any:
        """Create a job that is tried once; returns its row."""
        return self.ask("/jobs", {"job": name, "with": called_with, "retry": 0})

    def end_of(self, job_id: str) -> Any:
        """Return a job's row once it has ended, or waits to be tried again."""
        ended = ("completed", "failed", "cancelled", "skipped", "retrying")
        wait_until(
            lambda: self.ask(f"/jobs/{job_id}")["status"] in ended, limit_s=90, what="a job's end"
        )
        return self.ask(f"/jobs/{job_id}")

    def wait_for_all(self, *, workers: int) -> None:
        """Wait until the stack is healthy, a daemon leads and so many workers are there."""
        for service in ("postgres", "redis", "web"):
            wait_until(partial(self.is_healthy, service), limit_s=120, what=service)
        wanted = {"status": "ready", "leader": True, "workers": workers}
        wait_until(
            lambda: self.ask("/health/ready").items() >= wanted.items(),
            limit_s=60,
            what=str(wanted),
        )

    def remove(self) -> None:
        """Remove containers, network, volumes and the image."""
        self("down", "--volumes", "--remove-orphans", check=False)
        subprocess.run(["docker", "image", "rm", self._name], capture_output=True, check=False)
