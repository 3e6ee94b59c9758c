"""What `headrace init` writes, as a newcomer meets it: with the wheel, make, and nothing else."""

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.memory_folders import memory_folder
from tests.support.wheelhouse import needed, pack

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def wheels(wheel: Path) -> Iterator[Path]:
    """A folder for pip that has all that the project's requirements name, and no more."""
    with memory_folder("wheels-") as folder:
        for held in needed("headrace[embedded]", "pytest", "ruff").values():
            if held.name != "headrace":
                pack(held, folder)
        shutil.copy2(wheel, folder)
        yield folder


def test_a_new_project_passes_its_tests_and_runs_its_demonstration(
    python, environ, wheels, tmp_path, record_property
):
    environ = {**environ, "PIP_FIND_LINKS": str(wheels), "PIP_NO_INDEX": "1"}

    def told(*words: str, folder: Path) -> str:
        began = time.monotonic()
        done = subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        if words[0] == "make":
            record_property("told", f"{' '.join(words)} {time.monotonic() - began:.0f} s")
        return done.stdout

    project = tmp_path / "shop"
    said = told(str(python.with_name("headrace")), "init", "shop", folder=tmp_path)
    assert "cd shop && make demo" in said
    assert "pip install 'headrace[embedded]'" in said
    before = {
        path: path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    told("git", "init", "--quiet", folder=project)
    told("git", "add", ".", folder=project)
    assert set(told("git", "ls-files", folder=project).split()) == {
        path.relative_to(project).as_posix() for path in before
    }

    # Its CI example, step by step: what one there installs by itself is here already.
    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text())
    steps = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "uses" not in step]
    done = {step: told(*shlex.split(step), folder=project) for step in steps}
    assert list(done) == ["make lint", "make test", "git diff --exit-code -- schema"]
    assert "2 pipelines are valid" in done["make lint"]
    assert "All checks passed!" in done["make lint"]
    assert "4 passed" in done["make test"]
    assert "completed: 4 steps" in told("make", "demo", folder=project)
    # What editors know is what `init` has written, until a job is added.
    assert {path: path.read_bytes() for path in before} == before
    (project / "jobs/orders/refund.py").write_text(
        "from headrace import BaseJob\nclass Refund(BaseJob):\n    def handle(self): pass\n"
    )
    told("make", "schema", folder=project)
    schema = json.loads((project / "schema/pipeline.schema.json").read_text())
    assert "with_Refund" in schema["$defs"]

    # The schema goes along: where a new job's is not committed, the CI example says so.
    changed = told("git", "diff", "--name-only", folder=project).split()
    assert changed == ["schema/pipeline.schema.json"]
    untracked = told("git", "ls-files", "--others", "--exclude-standard", folder=project)
    assert untracked.split() == ["jobs/orders/refund.py"]
