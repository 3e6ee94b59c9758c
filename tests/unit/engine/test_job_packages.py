"""A dotted path leads into jobs/ and the packages that config.yaml lists, nowhere else."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.engine.catalog.job_registry import Registry
from headrace.errors import UnknownJobClass

BOMB = """
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
from jobs.base import BaseJob
class Job(BaseJob):
    def handle(self): return 1
"""


@pytest.fixture
def bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "some_installed"
    package.mkdir()
    for name in ("__init__", "jobs", "jobs_too"):
        (package / f"{name}.py").write_text(BOMB)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.startswith("some_installed")]:
        del sys.modules[name]


def imported(bomb: Path) -> list[str]:
    return sorted(path.stem for path in bomb.glob("*.imported"))


@pytest.mark.parametrize(
    "path",
    [
        "some_installed.jobs.Job", "some_installed.Job", "antigravity.x", "this.s", "os.system",
        "jobsx.Job", "jobs_.Job", ".jobs.Job", "..jobs.Job", "some_installed..Job", ".", "..",
        "headrace.cli.supervisor.Part", "pip.main", "idlelib.idle.x",
    ],
)  # fmt: skip
def test_no_other_module_is_imported_for_a_job(bomb: Path, path: str):
    before = set(sys.modules)

    findings = Registry().check(path, {})

    assert findings[0][1] == "unknown-job"
    assert "job_packages" in findings[0][2] + findings[0][3]
    assert imported(bomb) == []
    assert "antigravity" not in set(sys.modules) - before


def test_a_listed_package_and_what_lies_below_it_are_allowed(bomb: Path):
    registry = Registry(packages=["some_installed.jobs"])

    assert registry.check("some_installed.jobs.Job", {}) == []
    with pytest.raises(UnknownJobClass, match="a package that job_packages in"):
        registry.get("some_installed.jobs_too.Job")
    # Its parent comes with it, as Python has it; its sibling does not.
    assert imported(bomb) == ["__init__", "jobs"]


def test_the_own_jobs_may_be_named_by_their_path():
    assert Registry().get("jobs.fibonacci.Fibonacci").cls.__name__ == "Fibonacci"
