"""The stack of a new project, as `headrace init` writes it, on a real engine."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Headrace
from tests.support.engine import compose_command, need_engine
from tests.support.stack import ROOT, Stack, images
from tests.support.wheelhouse import built

pytestmark = pytest.mark.timeout(1200)

_TEMPLATE = ROOT / "runner/cli/project_template"


@pytest.fixture
def stack(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    need_engine(*images(_TEMPLATE, "compose.yaml"))

    def prepare(folder: Path) -> None:
        made = Headrace(folder.parent, {})("init", folder.name)
        assert made.code == 0, made.err
        # Where no index has it. The image fetches the rest from where pip does.
        (folder / "wheels").mkdir()
        shutil.copy(built(tmp_path_factory).wheel, folder / "wheels")

    made = Stack(tmp_path / "shop", compose_command(), prepare=prepare, file="compose.yaml")
    try:
        made("build")
        yield made
        print(made("logs", "--no-color", check=False)[-20_000:])
    finally:
        made.remove()


def test_a_new_projects_stack_becomes_healthy_and_runs_its_pipelines(stack: Stack) -> None:
    began = time.monotonic()
    stack("up", "-d", "--scale", "worker=2")
    stack.wait_for_all(workers=2)
    print(f"healthy in {time.monotonic() - began:.0f} s")

    ran = stack("exec", "-T", "worker", "headrace", "run", "daily_orders")
    assert "completed: 4 steps" in ran
    assert stack.inside("worker", "touch", "/app/exports/x").returncode == 0
    assert "2 pipelines are valid" in stack("exec", "-T", "web", "headrace", "validate")
    for path in ("/app/x", "/app/jobs/x.py", "/app/pipelines/x.yaml", "/venv/x"):
        assert stack.inside("worker", "touch", path).returncode != 0, path
    assert "Traceback" not in stack("logs", "--no-color", "daemon", "worker", "web")
