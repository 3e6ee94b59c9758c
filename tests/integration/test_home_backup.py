"""The guide's lines that back up and restore a home, word for word."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import REPOSITORY, Headrace

PLAIN = "name: plain\nsteps: [{id: only, job: Fibonacci, with: {n: 7}}]\n"


def _lines() -> list[str]:
    text = (REPOSITORY / "docs" / "guide" / "operating.md").read_text()
    section = text.split("## Backup of a home with embedded servers")[1].split("\n## ")[0]
    (block,) = re.findall(r"```\n(.*?)```", section, re.DOTALL)
    return str(block).splitlines()


@pytest.mark.timeout(240)
def test_a_home_is_backed_up_by_one_line_and_restored_by_another(tmp_path: Path) -> None:
    backup, restore = _lines()
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        (folder / "pipelines").mkdir(parents=True)
        (folder / "pipelines" / "plain.yaml").write_text(PLAIN)
    assert Headrace(old, {})("run", "plain", timeout=100).code == 0
    before = Headrace(old, {})("jobs", "--json").json

    subprocess.run(["sh", "-ec", backup], cwd=old, check=True)
    (old / "headrace-home.tar.gz").rename(new / "headrace-home.tar.gz")
    subprocess.run(["sh", "-ec", restore], cwd=new, check=True)

    assert Headrace(new, {})("jobs", "--json").json == before
    assert Headrace(new, {})("run", "plain", timeout=100).code == 0
