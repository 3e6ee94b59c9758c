"""Wheels for pip: ours, built once for all processes, and those of what is installed here.

A test that installs something takes it from here, and needs neither a package index nor a network.
"""

import fcntl
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import release

ROOT = Path(__file__).resolve().parents[2]
# Written by pip where it installs; a wheel has none of them, or another one.
_OF_PIP = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}


@dataclass(frozen=True, slots=True)
class Built:
    """Our wheel, and what the release's checks say of it and of the source distribution."""

    wheel: Path
    faults: list[str]


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that one process of a test run fills, and all others find filled."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            make(folder)
            (folder / "made").touch()
    return folder


def built(factory: pytest.TempPathFactory) -> Built:
    """Return the wheel of the repository as it is."""

    def build(folder: Path) -> None:
        (folder / "faults.json").write_text(json.dumps(release.built(ROOT, folder, again=False)))

    folder = made_once(factory, "built-wheel", build)
    (wheel,) = folder.glob("*.whl")
    return Built(wheel, json.loads((folder / "faults.json").read_text()))


def locked() -> Iterator[Distribution]:
    """Yield what is installed here of what the lock names."""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if found := re.match(r"([\w.-]+)==", line):
            try:
                yield distribution(found[1])
            except PackageNotFoundError:
                assert ";" in line, f"{found[1]} is not installed"  # for another system


def needed(*requirements: str) -> dict[str, Distribution]:
    """Return what these requirements bring with them, as it is installed here."""
    found: dict[str, Distribution] = {}
    seen: set[str] = set()
    left = list(requirements)
    while left:
        wanted = Requirement(left.pop())
        extras = sorted(wanted.extras) or [""]
        holds = [wanted.marker is None or wanted.marker.evaluate({"extra": "-"})]
        if str(wanted) in seen or not all(holds):
            continue
        seen.add(str(wanted))
        held = found.setdefault(wanted.name, distribution(wanted.name))
        for text in held.requires or ():
            below = Requirement(text)
            if below.marker is None or any(below.marker.evaluate({"extra": e}) for e in extras):
                below.marker = None
                left.append(str(below))
    return found


def pack(held: Distribution, into: Path) -> Path:
    """Write the wheel of an installed package, not compressed: that is a copy and little more."""
    files = [file for file in held.files or () if _belongs(file.parts, file.name)]
    (info,) = {file.parts[0] for file in files if file.parts[0].endswith(".dist-info")}
    tags = re.findall(r"^Tag: (.+)-(.+)-(.+)$", held.read_text("WHEEL") or "", re.MULTILINE)
    parts = (".".join(dict.fromkeys(column)) for column in zip(*tags, strict=True))
    wheel = into / f"{info.removesuffix('.dist-info')}-{'-'.join(parts)}.whl"
    scripts = {entry.name for entry in held.entry_points if entry.group.endswith("_scripts")}
    with zipfile.ZipFile(wheel, "w") as written:
        names = []
        for file in files:
            name = file.as_posix()
            if file.parts[0] == "..":
                if file.name in scripts:
                    continue  # Made by who installs.
                name = f"{info.removesuffix('.dist-info')}.data/scripts/{file.name}"
            with suppress(FileNotFoundError):
                written.write(str(held.locate_file(file)), name)
                names.append(name)
        written.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in names))
    return wheel


def _belongs(parts: tuple[str, ...], name: str) -> bool:
    of_pip = name in _OF_PIP and parts[-2].endswith(".dist-info")
    return not of_pip and "__pycache__" not in parts and not name.endswith(".pyc")
