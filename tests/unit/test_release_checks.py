"""What `make release` finds before it builds, and in what it has built."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tools import release

CHANGELOG = (
    "# Changelog\n\n## [1.2.0] - 2026-01-05\n\n### Added\n\n- More.\n\n## [1.1.0] - 2025-01-05\n"
)


SAYS_VERSION = {
    "runner/model/version.py": '__version__ = "1.2.0"\n',
    "deploy/kubernetes/kustomization.yaml": 'images:\n  - name: headrace\n    newTag: "1.2.0"\n',
    "deploy/kubernetes/migrate.yaml": "metadata:\n  name: headrace-migrate-1.2.0\n",
}


def git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose commit is the release 1.2.0."""
    for name, text in SAYS_VERSION.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "headrace"\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Release 1.2.0")
    git(tmp_path, "tag", "--annotate", "v1.2.0", "--message", "Headrace 1.2.0")
    return tmp_path


def faults(folder: Path) -> list[str]:
    found = [*release.faults_of_texts(folder), *release.faults_of_tree(folder)]
    return [*found, *release.faults_of_tag(folder, "1.2.0")]


def test_a_commit_whose_version_changelog_and_tag_agree_can_be_released(repository: Path):
    assert faults(repository) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("[1.2.0] - 2026-01-05", "[Unreleased]\n\n- x\n\n## [1.2.0] - 2026-01-05", "[Unreleased]"),
        ("[1.2.0] - 2026-01-05", "[1.3.0] - 2026-01-05", "latest version in CHANGELOG.md is 1.3.0"),
        ("[1.2.0] - 2026-01-05", "[1.2.0]", "dates 1.2.0 not at all"),
        ("[1.2.0] - 2026-01-05", "[1.2.0] - 2999-01-05", "dates 1.2.0 2999-01-05"),
    ],
)
def test_a_changelog_that_does_not_end_with_the_version_is_told(
    repository: Path, before: str, after: str, told: str
):
    (repository / "CHANGELOG.md").write_text(CHANGELOG.replace(before, after))
    changelog, uncommitted = faults(repository)
    assert told in changelog
    assert uncommitted == "not committed: CHANGELOG.md"


@pytest.mark.parametrize("name", SAYS_VERSION)
def test_another_version_in_the_code_or_a_manifest_is_told(repository: Path, name: str):
    (repository / name).write_text(SAYS_VERSION[name].replace("1.2.0", "1.2.1"))
    assert f"{name} does not say 1.2.0, as pyproject.toml does" in faults(repository)


def test_a_file_that_is_in_no_commit_is_told(repository: Path):
    (repository / "runner/new.py").write_text("")
    assert faults(repository) == ["not committed: runner/new.py"]


def test_a_tag_that_is_missing_is_told_with_the_command(repository: Path):
    git(repository, "tag", "--delete", "v1.2.0")
    (told,) = faults(repository)
    assert told.endswith("git tag --annotate v1.2.0 --message 'Headrace 1.2.0'")


def test_a_tag_without_author_or_on_another_commit_is_told(repository: Path):
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "More")
    assert faults(repository) == ["the tag v1.2.0 is on another commit than this one"]
    git(repository, "tag", "--force", "v1.2.0")
    assert faults(repository) == ["the tag v1.2.0 has no author and no date: make an annotated one"]


def test_what_is_missing_in_what_was_built_or_should_not_be_there_is_told(tmp_path: Path):
    names = ["runner/x.py", "jobs/sql/a.sql.j2", "pyproject.toml"]
    wheel = tmp_path / "headrace-1.2.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as written:
        written.writestr("headrace/x.py", "")
        written.writestr("jobs/base.py", "")
        written.writestr("headrace-1.2.0.dist-info/METADATA", "Name: headrace\nVersion: 1.2.0\n")
    sdist = tmp_path / "headrace-1.2.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as packed:
        for name in ("PKG-INFO", "runner/x.py", "pyproject.toml", ".env"):
            packed.addfile(tarfile.TarInfo(f"headrace-1.2.0/{name}"), io.BytesIO())

    assert list(release.faults_of_wheel(wheel, names, "1.2.0")) == [
        f"{wheel.name} lacks headrace/jobs/sql/a.sql.j2",
        f"{wheel.name} should not have jobs/base.py",
    ]
    (told, *_) = release.faults_of_wheel(wheel, names, "1.3.0")
    assert told == f"{wheel.name} has no metadata of the version 1.3.0"
    assert list(release.faults_of_sdist(sdist, names)) == [
        f"{sdist.name} lacks jobs/sql/a.sql.j2",
        f"{sdist.name} should not have .env",
    ]
