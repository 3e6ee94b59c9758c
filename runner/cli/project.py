"""`headrace init`: a new project folder that runs as it is, and that a team can keep."""

import argparse
import re
import shutil
import sys
from pathlib import Path
from shlex import quote

from headrace.cli.schemas import FILES, text_of
from headrace.errors import ConfigError

_TEMPLATE = Path(__file__).parent / "project_template"
# Left by Python where the package is installed, by tools in a clone.
_CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
# Compose names containers, volumes and the image after the project.
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_-]+")


def init(given: argparse.Namespace) -> int:
    """Write the files of a project; existing ones are never touched."""
    folder = Path(given.folder)
    texts = _texts(folder)
    names = (*texts, *FILES.values())
    taken = [name for name in names if (folder / name).exists()]
    if taken:
        raise ConfigError(f"{folder / taken[0]} already exists; init overwrites nothing")
    try:
        for name, text in texts.items():
            _write(folder / name, text)
        for name, text in _schemas(folder).items():
            _write(folder / name, text)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None
    for name in names:
        print(folder / name)
    _print_next(folder)
    return 0


def _texts(folder: Path) -> dict[str, str]:
    """Return the files of the template by name, in their order."""
    from headrace.model.version import __version__

    values = {"@PROJECT@": _name_of(folder), "@VERSION@": __version__}
    found = {}
    for path in sorted(_TEMPLATE.rglob("*")):
        if path.is_dir() or not _CACHES.isdisjoint(path.parts):
            continue
        text = path.read_text(encoding="utf-8")
        for mark, value in values.items():
            text = text.replace(mark, value)
        found[path.relative_to(_TEMPLATE).as_posix()] = text
    return found


def _name_of(folder: Path) -> str:
    return _NOT_IN_A_NAME.sub("-", folder.resolve().name.lower()).strip("-_") or "pipelines"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _schemas(folder: Path) -> dict[str, str]:
    """Return the schemas for editors, with the parameters of the new project's jobs in them."""
    from headrace.declarations.config import load_settings

    settings = load_settings({"HEADRACE_CONFIG": str(folder / "config.yaml")})
    return {name: text_of(kind, settings) for kind, name in FILES.items()}


def _print_next(folder: Path) -> None:
    from headrace.jobapi.folders import clone
    from headrace.store import embedded

    there = quote(str(folder))
    print("\nREADME.md says what lies where. Now:")
    source = clone()
    if source is not None:
        print("  # Headrace is a clone here; the project installs its wheel.")
        wheels = quote(str(folder.resolve() / "wheels"))
        print(f"  make -C {quote(str(source))} wheel WHEELS={wheels}")
    print(f"  cd {there} && make demo")
    lost = embedded.missing()
    if lost is None:
        print(f"Without make, in this environment: cd {there} && {_call()} run hello")
    else:
        print(f"In this environment {lost}\n`make` installs them in the project's own .venv.")


def _call() -> str:
    """Return how `headrace` is called here, where it may not be on the PATH."""
    if shutil.which("headrace"):
        return "headrace"
    beside = Path(sys.executable).with_name("headrace")
    return str(beside) if beside.exists() else f"{sys.executable} -m {__name__.partition('.')[0]}"
