"""Builds the wheel and the source distribution, away from the repository.

    python tools/package.py wheel FOLDER    the wheel of the files as they are now

A build in the repository would leave a folder behind whose stale files the next wheel would hold.
What git ignores is never in one. Needs the build backend, which the lock brings.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Folders of the package, and the files that a build reads.
PARTS = ("runner", "jobs", "schema", "pyproject.toml", "setup.py", "README.md", "LICENSE")
_PIP = ("-m", "pip", "--disable-pip-version-check")
_BACKEND = "import setuptools.build_meta as b, sys; getattr(b, sys.argv[1])(sys.argv[2])"


def tracked(root: Path) -> list[str]:
    """Return the files that belong to the package: what git knows, and what it does not ignore."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PARTS]
    found = subprocess.run(listed, cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(name for name in found.split("\0") if name and (root / name).is_file())


@contextmanager
def copied(root: Path) -> Iterator[Path]:
    """Yield a folder with a copy of these files."""
    with tempfile.TemporaryDirectory(prefix="headrace-build-") as folder:
        source = Path(folder)
        for name in tracked(root):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, source / name)
        yield source


def build_wheel(source: Path, into: Path) -> Path:
    """Build the wheel of a folder as `pip wheel` does, and return its file."""
    wheel = (*_PIP, "wheel", "-qq", "--no-deps", "--no-build-isolation", "--no-index")
    with tempfile.TemporaryDirectory(dir=_made(into)) as fresh:
        _python(*wheel, "--wheel-dir", fresh, str(source.resolve()))
        return _moved(Path(fresh), "*.whl", into)


def build_wheel_of(sdist: Path, into: Path) -> Path:
    """Build the wheel of a source distribution, and return its file."""
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as held:
        held.extractall(folder, filter="data")
        (source,) = Path(folder).iterdir()
        _python("-W", "ignore", "-c", _BACKEND, "build_wheel", str(_made(into)), cwd=source)
    (found,) = into.glob("*.whl")
    return found


def build_sdist(source: Path, into: Path) -> Path:
    """Build the source distribution of a folder, and return its file."""
    with tempfile.TemporaryDirectory(dir=_made(into)) as fresh:
        _python("-W", "ignore", "-c", _BACKEND, "build_sdist", fresh, cwd=source)
        return _moved(Path(fresh), "*.tar.gz", into)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _moved(fresh: Path, pattern: str, into: Path) -> Path:
    (found,) = fresh.glob(pattern)
    return found.replace(into.resolve() / found.name)


def _python(*arguments: str, cwd: Path | None = None) -> None:
    # A time of before 1980, as some environments name, cannot be written in a zip file.
    environ = {name: text for name, text in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environ, capture_output=True, check=False
    )
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout + done.stderr)
        raise SystemExit(f"package: python {' '.join(arguments[:3])} … failed: see above")


def main(arguments: list[str]) -> int:
    """Build what is asked for, and print its file."""
    if len(arguments) != 2 or arguments[0] != "wheel":
        print("usage: python tools/package.py wheel FOLDER", file=sys.stderr)
        return 2
    with copied(ROOT) as source:
        print(build_wheel(source, Path(arguments[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
