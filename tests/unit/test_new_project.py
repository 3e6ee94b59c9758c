"""The files that `headrace init` writes, as far as they can be read."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from headrace import __version__
from headrace.cli.project import init
from headrace.cli.schemas import FILES
from tests.unit.test_deployment import COMPOSE

ROOT = Path(__file__).resolve().parents[2]


class Given:
    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "Our Shop's ETL"
    assert init(Given(folder)) == 0  # type: ignore[arg-type]
    return folder


def services(folder: Path, name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((folder / name).read_text())
    assert [error.message for error in Draft202012Validator(COMPOSE).iter_errors(loaded)] == []
    return {name: dict(service) for name, service in loaded["services"].items()}


def test_no_mark_of_the_template_is_left_and_names_fit_what_takes_them(project: Path):
    texts = {path.name: path.read_text() for path in project.rglob("*") if path.suffix != ".pyc"
             and path.is_file()}  # fmt: skip
    assert not [name for name, text in texts.items() if re.search(r"@[A-Z]+@", text)]
    assert "COMPOSE_PROJECT_NAME=our-shop-s-etl\n" in texts[".env.example"]
    assert "image: our-shop-s-etl\n" in texts["compose.yaml"]


def test_both_requirements_name_this_version_and_only_make_brings_the_embedded_servers(project):
    image = (project / "requirements.txt").read_text()
    desk = (project / "requirements-dev.txt").read_text()
    assert f"\nheadrace=={__version__}\n" in image
    assert f"\nheadrace[embedded]=={__version__}\n" in desk
    assert "-r requirements.txt\n" in desk
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in re.findall(r"\[([\w,]+)\]", image + desk):
        assert set(name.split(",")) <= extras["optional-dependencies"].keys()


def test_its_stack_is_ours_but_for_the_files_that_its_image_holds(project: Path):
    ours, its = services(ROOT, "docker-compose.yml"), services(project, "compose.yaml")
    assert its.keys() == ours.keys()
    for name, service in its.items():
        for key in ("image", "volumes"):
            ours[name].pop(key, None) if name not in ("postgres", "redis") else None
            service.pop(key, None) if name not in ("postgres", "redis") else None
        assert service == ours[name], name


def test_every_job_of_the_stack_writes_to_the_volume_and_no_code_is_mounted(project: Path):
    for name, service in services(project, "compose.yaml").items():
        if name not in ("postgres", "redis"):
            assert service["volumes"] == ["exports:/app/exports"], name


def test_no_secret_of_its_stack_has_a_default(project: Path):
    used = set(re.findall(r"\$\{(\w+)([^}]*)\}", (project / "compose.yaml").read_text()))
    used -= {("HEADRACE_PORT", ":-8000")}
    assert {name for name, _ in used} >= {"POSTGRES_PASSWORD", "HEADRACE_API_TOKEN"}
    assert all(rest.startswith(":?") for _, rest in used)
    example = (project / ".env.example").read_text()
    for name in ("POSTGRES_PASSWORD", "HEADRACE_API_TOKEN"):
        assert re.search(rf"^{name}=$", example, re.MULTILINE)


def test_its_image_is_ours_but_for_where_headrace_comes_from(project: Path):
    ours, its = ((folder / "Dockerfile").read_text() for folder in (ROOT, project))
    for what in (r"^FROM .*$", r"^RUN useradd.*$", r"^ENV PATH.*$", r"^USER .*$", r"^ENTRYPOINT.*$",
                 r"^HEALTHCHECK.*\n.*$"):  # fmt: skip
        assert re.findall(what, its, re.MULTILINE) == re.findall(what, ours, re.MULTILINE)
    taken = re.findall(r"^COPY (?!--from)(.*) \S+$", its, re.MULTILINE)
    allowed = {
        line[1:] for line in (project / ".dockerignore").read_text().split() if line[0] == "!"
    }
    assert {word.rstrip("*") for line in taken for word in line.split()} == allowed


def test_the_schemas_for_editors_have_its_own_jobs_and_every_key_of_config(project: Path):
    pipelines, config = (json.loads((project / name).read_text()) for name in FILES.values())
    assert "best" in pipelines["$defs"]["with_ReportRegions"]["properties"]
    assert "connections" in config["properties"]
    for name, schema in (("pipelines/daily_orders.yaml", pipelines), ("config.yaml", config)):
        data = yaml.safe_load((project / name).read_text())
        assert list(Draft202012Validator(schema).iter_errors(data)) == []
    settings = json.loads((project / ".vscode/settings.json").read_text())
    assert list(settings["yaml.schemas"]) == list(FILES.values())


def test_its_readme_and_its_ci_name_only_targets_and_files_that_exist(project: Path):
    makefile = (project / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    readme, ci = (
        (project / name).read_text() for name in ("README.md", ".github/workflows/ci.yml")
    )
    named = {
        word for line in re.findall(r"make ((?:[a-z]+ ?)+)", readme + ci) for word in line.split()
    }
    assert {"run", "test", "demo", "lint"} <= named & targets
    shown = re.findall(r"^\| `([^`]+)`", readme, re.MULTILINE)
    assert len(shown) > 3
    for name in shown:
        assert (project / name).exists() or name == "exports/", name
    assert yaml.safe_load(ci)["jobs"]["test"]["steps"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_bare_make_lists_its_targets(project: Path):
    said = subprocess.run(["make"], cwd=project, capture_output=True, text=True, check=True).stdout
    for target in ("run", "demo", "test", "lint"):
        assert re.search(rf"^  make {target} +\S", said, re.MULTILINE)
