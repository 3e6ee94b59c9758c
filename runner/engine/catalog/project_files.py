"""The Python files of a project's `jobs/`, its subfolders included, and names that are taken twice.

Nothing is imported here: two files of one name are told before Python takes one of them silently.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CLASS = re.compile(r"^class +([A-Za-z_]\w*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Clash:
    """A file and a folder of one name, with the names that are lost by it: files and classes."""

    places: tuple[str, str]
    names: frozenset[str]

    @property
    def told(self) -> str:
        """Return what is wrong, with both places."""
        return f"{self.places[0]} and the folder {self.places[1]} have one name"


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """What lies in `jobs/`: the files to import, by module, and those that cannot be.

    A module's name has no package before it: `orders.load` is `jobs/orders/load.py`.
    """

    modules: Mapping[str, Path]
    clashes: Sequence[Clash]


def files_of(jobs: Path) -> ProjectFiles:
    """Return the files of a folder of jobs, each package before its modules.

    Folders `tests`, and those that begin with an underscore, hold no jobs.
    """
    modules: dict[str, Path] = {}
    clashes: list[Clash] = []
    for name, path, folder in _walk(jobs, ()):
        if folder is None:
            modules[name] = path
            continue
        lost = {name for file in (path, *folder.rglob("*.py")) for name in classes_in(file)}
        places = (shown(jobs, path), shown(jobs, folder))
        clashes.append(Clash(places, frozenset({path.stem, *lost})))
    return ProjectFiles(modules, clashes)


def classes_in(file: Path) -> list[str]:
    """Return the classes that a file's text defines, also where it cannot be imported."""
    try:
        return _CLASS.findall(file.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return []


def shown(jobs: Path, path: Path) -> str:
    """Return a path as messages name it: from the project's folder, a folder with its slash."""
    name = f"{jobs.name}/{path.relative_to(jobs).as_posix()}"
    return f"{name}/" if path.is_dir() else name


def _walk(
    folder: Path, above: tuple[str, ...], within: frozenset[Path] = frozenset()
) -> Iterator[tuple[str, Path, Path | None]]:
    """Yield module, file and, where the name is taken twice, the folder of that name."""
    within |= {folder.resolve()}
    entries = sorted(folder.iterdir())
    folders = {path.name: path for path in entries if _holds_modules(path, within)}
    for path in entries:
        is_module = path.suffix == ".py" and "." not in path.stem and path.is_file()
        if is_module and path.stem != "__init__":
            yield ".".join((*above, path.stem)), path, folders.pop(path.stem, None)
    for name, path in folders.items():
        if (path / "__init__.py").is_file():
            yield ".".join((*above, name)), path / "__init__.py", None
        yield from _walk(path, (*above, name), within)


def _holds_modules(path: Path, within: frozenset[Path]) -> bool:
    """Return whether a folder has modules that are looked at; a link that leads back has none."""
    name = path.name
    passed_over = name == "tests" or name.startswith("_") or not name.isidentifier()
    return not passed_over and path.is_dir() and _has_files(path) and path.resolve() not in within


def _has_files(folder: Path) -> bool:
    return any(folder.rglob("*.py"))
