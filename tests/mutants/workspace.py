"""Makes copies of the tree, each with an environment of its own: nothing is broken where one works.

A copy is a clone of the commit under test. Its `.venv` links to the packages of this one's, so it
takes seconds and no space.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mutants.sources import ROOT, Sources

_OWN = ("headrace", "__editable__")
_STAMPS = ".made-from-"


def commit(name: str) -> str:
    """Return the full name of the commit under test."""
    return _git(ROOT, "rev-parse", "--verify", f"{name}^{{commit}}")


def cache_folder(of: str) -> Path:
    """Return where the maps, copies and results of a commit are kept."""
    # Servers that refuse to run as root have an account that cannot enter root's home.
    own = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    caches = Path(os.environ.get("XDG_CACHE_HOME") or own)
    folder = caches / "headrace-mutants" / of[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def changed_files(before: str, after: str) -> list[str] | None:
    """Return the files that two commits do not share; None if one of them is gone."""
    try:
        return _git(ROOT, "diff", "--name-only", "--no-renames", before, after).splitlines()
    except subprocess.CalledProcessError:
        return None


def copy_of_tree(folder: Path, of: str) -> Path:
    """Return a copy of the commit `of`; one that is complete is taken as it is."""
    done = folder.with_suffix(".complete")
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _git(ROOT, "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(folder))
        _git(folder, "checkout", "--quiet", "--detach", of)
        _lay_environment(folder)
        done.touch()
    _git(folder, "checkout", "--quiet", "--force", "--", ".")
    return folder


def python(copy: Path) -> str:
    """Return a copy's interpreter."""
    return str(copy / ".venv" / "bin" / "python")


def _lay_environment(copy: Path) -> None:
    ours, theirs = ROOT / ".venv", copy / ".venv"
    site = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
    (theirs / site).mkdir(parents=True)
    for entry in (ours / site).iterdir():
        target = theirs / site / entry.name
        if not entry.name.startswith(_OWN):
            target.symlink_to(entry)
        elif entry.name.endswith(".dist-info"):
            shutil.copytree(entry, target)
    (theirs / site / "headrace.pth").write_text(f"{theirs / 'imports'}\n", encoding="utf-8")
    (theirs / "bin").mkdir()
    for entry in (ours / "bin").iterdir():
        if entry.is_symlink():
            (theirs / "bin" / entry.name).symlink_to(entry.readlink())
        elif entry.is_file():
            shutil.copy2(entry, theirs / "bin")
    about = [ours / "pyvenv.cfg", *ours.glob(f"{_STAMPS}*")]
    for path in about:
        shutil.copy2(path, theirs)
    for path in (*theirs.iterdir(), *(theirs / "bin").iterdir(), *(theirs / site).rglob("*.json")):
        _say_other_root(path, copy)
    lay = "import sys; sys.path.insert(0, 'tools'); import bootstrap; bootstrap._lay_links()"
    subprocess.run([python(copy), "-c", lay], cwd=copy, check=True)


def _say_other_root(path: Path, copy: Path) -> None:
    if not path.is_file() or path.is_symlink():
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    if str(ROOT) in text:
        path.write_text(text.replace(str(ROOT), str(copy)), encoding="utf-8")


def lay_marks(copy: Path, folder: Path) -> None:
    """Have every interpreter of a copy mark what it executes in files of `folder`."""
    sources = Sources(copy)
    (site,) = (copy / ".venv" / "lib").glob("python*/site-packages")
    shutil.copy2(Path(__file__).with_name("marks.py"), site / "headrace_marks.py")
    about = {
        "root": str(copy),
        "folder": str(folder),
        "total": sources.total,
        "first": sources.first,
        "statements": sources.statements,
    }
    (site / "headrace_marks.json").write_text(json.dumps(about), encoding="utf-8")
    line = "import headrace_marks; headrace_marks.MARKS = headrace_marks.install()\n"
    (site / "headrace_marks.pth").write_text(line, encoding="utf-8")
    folder.mkdir(exist_ok=True)


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()
