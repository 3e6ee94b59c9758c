"""Check that what stands here is a release, build it, and check what was built.

    make release                 the version's tag has to be on this commit
    make release ARGS=--untagged    all but the tag: what to look at before it is made

Nothing is uploaded and no tag is made: the files stand in dist/, with their digests.
"""

import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from email import message_from_bytes
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools import package

_ENTRY = re.compile(r"^## \[([^\]]+)\](?: - (\S+))?\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
# Where the version stands beside pyproject.toml.
_VERSIONS = {
    "runner/model/version.py": r'^__version__ = "(.+)"$',
    "deploy/kubernetes/kustomization.yaml": r'^ +newTag: "(.+)"$',
    "deploy/kubernetes/migrate.yaml": r"^  name: headrace-migrate-(.+)$",
}
# Folders whose files a wheel holds under other names.
_INSTALLED = {"runner": "headrace", "jobs": "headrace/jobs", "schema": "headrace/schema"}


def main(arguments: list[str], root: Path = package.ROOT) -> int:
    """Return 0 where all is right, 1 where something is wrong; every finding is printed."""
    if set(arguments) - {"--untagged"}:
        print("usage: python tools/release.py [--untagged]", file=sys.stderr)
        return 2
    version = project_of(root)["version"]
    wrong = [*faults_of_texts(root), *faults_of_tree(root)]
    if "--untagged" not in arguments:
        wrong += faults_of_tag(root, version)
    if not wrong:
        wrong = built(root, root / "dist", again=True)
    for one in wrong:
        print(f"release: {one}", file=sys.stderr)
    if not wrong:
        print(f"Headrace {version} can be published: all checks passed.")
    return 1 if wrong else 0


def project_of(root: Path) -> dict[str, str]:
    """Return the table `project` of pyproject.toml."""
    found: dict[str, str] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return found


def faults_of_texts(root: Path) -> Iterator[str]:
    """Yield where the version and its entry in the changelog are not right."""
    version = project_of(root)["version"]
    for name, pattern in _VERSIONS.items():
        if set(re.findall(pattern, (root / name).read_text(), re.MULTILINE)) != {version}:
            yield f"{name} does not say {version}, as pyproject.toml does"
    entries = _ENTRY.findall((root / "CHANGELOG.md").read_text(encoding="utf-8"))
    left = next((text for name, _, text in entries if name == "Unreleased"), "")
    if left.strip():
        yield "CHANGELOG.md has changes under [Unreleased]: give them a version and a date"
    latest = next(((name, day) for name, day, _ in entries if name != "Unreleased"), ("none", ""))
    if latest[0] != version:
        yield f"the latest version in CHANGELOG.md is {latest[0]}, in pyproject.toml {version}"
    elif not _is_past(latest[1]):
        yield f"CHANGELOG.md dates {version} {latest[1] or 'not at all'}: the day of the release"


def faults_of_tree(root: Path) -> Iterator[str]:
    """Yield what is not committed: it would be in what is built, and in no commit."""
    changed = _git(root, "status", "--porcelain").splitlines()
    if changed:
        yield f"not committed: {', '.join(line[3:] for line in changed[:5])}"


def faults_of_tag(root: Path, version: str) -> Iterator[str]:
    """Yield what is wrong with the version's tag."""
    name = f"v{version}"
    kind = _git(root, "cat-file", "-t", f"refs/tags/{name}", missing="none")
    if kind == "none":
        yield f"there is no tag {name}: git tag --annotate {name} --message 'Headrace {version}'"
    elif kind != "tag":
        yield f"the tag {name} has no author and no date: make an annotated one"
    elif _git(root, "rev-parse", f"{name}^{{commit}}") != _git(root, "rev-parse", "HEAD"):
        yield f"the tag {name} is on another commit than this one"


def faults_of_wheel(wheel: Path, names: list[str], version: str) -> Iterator[str]:
    """Yield what a wheel holds too much or too little of, `names` being the repository's files."""
    wanted = {installed_name(name) for name in names if "/" in name}
    with zipfile.ZipFile(wheel) as held:
        files = set(held.namelist())
        metadata = f"headrace-{version}.dist-info/METADATA"
        if metadata not in files:
            yield f"{wheel.name} has no metadata of the version {version}"
        elif message_from_bytes(held.read(metadata))["Version"] != version:
            yield f"{wheel.name} has the metadata of another version"
    found = {name for name in files if ".dist-info/" not in name}
    yield from _differences(wheel.name, wanted, found)


def faults_of_sdist(sdist: Path, names: list[str]) -> Iterator[str]:
    """Yield what a source distribution lacks, or has and should not."""
    with tarfile.open(sdist) as held:
        found = {
            name.partition("/")[2] for name in held.getnames() if held.getmember(name).isfile()
        }
    made = {name for name in found if name in {"PKG-INFO", "setup.cfg"} or ".egg-info/" in name}
    yield from _differences(sdist.name, set(names), found - made)


def installed_name(name: str) -> str:
    """Return the name in the wheel of a file of the repository."""
    folder, _, rest = name.partition("/")
    return f"{_INSTALLED[folder]}/{rest}"


def built(root: Path, into: Path, *, again: bool) -> list[str]:
    """Build both files into a folder, and return what is wrong with them.

    With `again` the wheel is built from the source distribution, too, and has to be the same.
    """
    version, names = project_of(root)["version"], package.tracked(root)
    with package.copied(root) as source:
        sdist = package.build_sdist(source, into)
        wheel = package.build_wheel(source, into)
    wrong = [*faults_of_wheel(wheel, names, version), *faults_of_sdist(sdist, names)]
    if again:
        with tempfile.TemporaryDirectory() as folder:
            other = _digests(package.build_wheel_of(sdist, Path(folder)))
        wrong += _differences(f"the wheel of {sdist.name}", _digests(wheel), other)
    for file in (wheel, sdist):
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file}")
    return wrong


def _digests(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as held:
        return {f"{one.filename} ({one.CRC:08x})" for one in held.infolist()}


def _differences(what: str, wanted: set[str], found: set[str]) -> Iterator[str]:
    for verb, names in (("lacks", wanted - found), ("should not have", found - wanted)):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield f"{what} {verb} {', '.join(sorted(names)[:5])}{more}"


def _is_past(day: str) -> bool:
    try:
        return date.fromisoformat(day) <= datetime.now(UTC).date()
    except ValueError:
        return False


def _git(root: Path, *words: str, missing: str | None = None) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=missing is None
    )
    return done.stdout.rstrip("\n") if done.returncode == 0 else str(missing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
