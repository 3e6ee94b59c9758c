"""A job of an installed package, named by its dotted path, on the way that a user takes."""

from pathlib import Path

import pytest

from tests.support.cli import Headrace

pytestmark = pytest.mark.timeout(240)

JOB = """
from jobs.base import BaseJob


class Load(BaseJob):
    def handle(self):
        return {"loaded": 1}
"""


def test_a_class_of_a_listed_package_validates_and_runs_and_of_another_neither(tmp_path: Path):
    for package in ("my_company", "others"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "jobs.py").write_text(JOB + "open('imported', 'w').close()\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "config.yaml").write_text("job_packages: [my_company.jobs]\n")
    for name, path in (("well", "my_company.jobs.Load"), ("badly", "others.jobs.Load")):
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(
            f"name: {name}\nsteps:\n  - {{id: a, job: {path}}}\n"
        )
    headrace = Headrace(tmp_path, {})

    told = headrace("validate", "pipelines/badly.yaml")
    assert told.code == 1
    assert "a package that job_packages in config.yaml lists" in told.out + told.err
    assert not (tmp_path / "imported").exists()

    told = headrace("validate", "pipelines/well.yaml")
    assert told.code == 0, told.out + told.err
    ran = headrace("run", "well", timeout=120)
    assert ran.code == 0, ran.out + ran.err
