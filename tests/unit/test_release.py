"""A release has one version, in every place that says it, and its entry in the changelog."""

import re
import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from headrace import __version__
from headrace.cli.arguments import parser

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
_RELEASE = re.compile(r"^## \[([0-9.]+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
_HEADING = re.compile(r"^### (.*)$", re.MULTILINE)


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_every_place_says_the_same_version(capsys):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    latest = _RELEASE.search(CHANGELOG)

    assert latest is not None
    assert project["version"] == __version__ == latest[1]
    with pytest.raises(SystemExit):
        parser().parse_args(["--version"])
    assert capsys.readouterr().out == f"headrace {__version__}\n"


def test_releases_are_dated_and_in_order_the_latest_first():
    found = [(number(one[1]), date.fromisoformat(one[2])) for one in _RELEASE.finditer(CHANGELOG)]
    assert len(found) > 1
    for later, earlier in pairwise(found):
        assert later[0] > earlier[0]
        assert later[1] >= earlier[1]


def test_a_releases_changes_are_grouped_once_each():
    known = ["Security", "Changed", "Deprecated", "Removed", "Fixed", "Added"]
    releases = re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]
    assert len(releases) > 1
    for release in releases:
        headings = _HEADING.findall(release)
        assert headings, release[:30]
        assert headings == [one for one in known if one in headings], release[:30]
