"""Make `.venv` from the lock, if it is not already made from it. Needs nothing but Python.

    python3 tools/bootstrap.py          what Headrace runs with
    python3 tools/bootstrap.py --dev    and what tests and lint need
    python3 tools/bootstrap.py --this-python ...    make it anew if another Python made it

uv installs where it is on the PATH: it computes a tenth of what pip does. pip installs where uv
is missing or fails, or where pip alone has been told of an index of one's own.

The stamp that says "done" is written last and names the lock's content, the Python and this
folder: an interrupted install, a changed lock or a moved project is made anew. Any number of
these may run at once; one works and the others wait.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
# What `import headrace` finds: a folder of links, since its parts lie in `runner/`, `jobs/`
# and `schema/`. An import hook would do for Python; mypy and import-linter see through links only.
IMPORTS = VENV / "imports"
PROJECT = "pyproject.toml"
# Not compiled beforehand: Python compiles what is imported, once, and that is a small part of it.
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq", "--no-compile")
# pip's settings that name where packages come from instead of the public index, and uv's.
_PIP_INDEX = ("index-url=", "no-index=")
_UV_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_NO_INDEX", "UV_CONFIG_FILE")


def main(arguments: list[str]) -> int:
    """Return 0 once `.venv` is complete, else the exit code of what failed."""
    exact = "--this-python" in arguments
    locks = ["requirements.lock", *(["requirements-dev.lock"] if "--dev" in arguments else [])]
    with _alone():
        try:
            if not _made(locks[0], exact=exact):
                _make(locks[0])
            for lock in locks[1:]:
                if not _made(lock):
                    _install(lock)
            if not _made(PROJECT):
                _install_project()
            _lay_links()
        except subprocess.CalledProcessError as error:
            print(f"bootstrap: {' '.join(map(str, error.cmd))} failed: see above.", file=sys.stderr)
            print("bootstrap: run the same command again to go on from here.", file=sys.stderr)
            return error.returncode
        except KeyboardInterrupt:
            print("bootstrap: interrupted; the next call begins anew.", file=sys.stderr)
            return 130
    return 0


def _make(lock: str) -> None:
    print(f"Making .venv with Python {platform.python_version()} …", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(VENV))
    _install(lock)


def _install(lock: str) -> None:
    began = time.monotonic()
    count = sum(line[0].isalnum() for line in (ROOT / lock).read_text().splitlines() if line)
    print(f"Installing {count} packages from {lock} …", flush=True)
    # Wheels only: nothing is compiled and no package's own code runs at install time.
    what = ("--require-hashes", "--only-binary", ":all:", "-r", str(ROOT / lock))
    if not _installed_by_uv(what):
        _run(PYTHON, *PIP, *what)
    _stamp(lock).write_text("\n".join(_wanted(lock)) + "\n")
    print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)


def _installed_by_uv(what: tuple[str, ...]) -> bool:
    uv = shutil.which("uv")
    if uv is None or _pip_alone_knows_the_index():
        return False
    try:
        _run(uv, "pip", "install", "--quiet", "--python", PYTHON, *what)
    except subprocess.CalledProcessError:
        print("bootstrap: uv has failed: see above. pip installs instead.", file=sys.stderr)
        return False
    return True


def _pip_alone_knows_the_index() -> bool:
    """Tell whether pip takes packages from elsewhere than the public index, and uv does not."""
    if any(name in os.environ for name in _UV_INDEX):
        return False
    asked = [PYTHON, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    said = subprocess.run(asked, cwd=ROOT, check=False, capture_output=True, text=True).stdout
    # `global.index-url='…'` in a file, `:env:.index-url='…'` in the environment.
    return any(line.partition(".")[2].startswith(_PIP_INDEX) for line in said.splitlines())


def _install_project() -> None:
    """Install the command `headrace` and the metadata; the code is found through the links."""
    # Of an earlier version: where a program starts in this folder it hides what is installed.
    shutil.rmtree(ROOT / "headrace.egg-info", ignore_errors=True)
    # The build backend came with the lock, so that nothing else is downloaded for this.
    _run(PYTHON, *PIP, "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT))
    for site in (VENV / "lib").glob("python*/site-packages"):
        for hook in site.glob("__editable__.headrace-*.pth"):
            hook.unlink()
        (site / "headrace.pth").write_text(f"{IMPORTS}\n")
    _stamp(PROJECT).write_text("\n".join(_wanted(PROJECT)) + "\n")


def _lay_links() -> None:
    """Link each entry of `runner/`, and `jobs` and `schema`, into the package `headrace`."""
    package = IMPORTS / "headrace"
    package.mkdir(parents=True, exist_ok=True)
    wanted = {path.name: path for path in (ROOT / "runner").glob("*") if _is_part(path)}
    wanted |= {name: ROOT / name for name in ("jobs", "schema")}
    for link in package.iterdir():
        if link.is_symlink() and link.name not in wanted:
            link.unlink()
    for name, path in wanted.items():
        link, target = package / name, os.path.relpath(path, package)
        if not link.is_symlink() or str(link.readlink()) != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)


def _is_part(path: Path) -> bool:
    """A folder with nothing but bytecode is what another branch has left."""
    return path.is_file() or (path / "__init__.py").is_file()


def _made(lock: str, *, exact: bool = False) -> bool:
    stamp = _stamp(lock)
    if not stamp.exists() or not PYTHON.exists():
        return False
    wanted, found = _wanted(lock), stamp.read_text().splitlines()
    return found == wanted if exact else found[:2] == wanted[:2]


def _stamp(lock: str) -> Path:
    return VENV / f".made-from-{lock}"


def _wanted(lock: str) -> list[str]:
    digest = hashlib.sha256((ROOT / lock).read_bytes()).hexdigest()
    return [digest, str(ROOT), f"{sys.base_prefix} {platform.python_version()}"]


def _run(*command: str | Path) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    # The folder itself is locked: a lock file would be one more file to ignore and to clean.
    descriptor = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another make that is installing …", flush=True)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
