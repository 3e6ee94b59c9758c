"""The house as a stranger finds it: rooms, names and the one import name, read from the code."""

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("runner", "jobs")
OURS = ("runner", "jobs", "tests", "bench", "docs", "tools")
MOST_ENTRIES = 16
MOST_LINES = 300
MOST_LINES_OF_A_FUNCTION = 40
_NAME = re.compile(r"headrace(?:\.[A-Za-z_]\w*)+")
_COMMAND = re.compile(r"[a-z_]+:[a-z_]+")
# Stands wherever a folder's name is imported, and in few files else: those alone are parsed.
_PERHAPS_A_FOLDER = re.compile(rf"(?:\b(?:from|import)\b|,)[\s\\]*(?:{'|'.join(CODE)})\b")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    found = ".".join(parts if parts[0] == "jobs" else parts[1:]).removesuffix("__init__")
    return f"headrace.{found}".rstrip(".")


MODULES = {name_of(path): path for folder in CODE for path in (ROOT / folder).rglob("*.py")}


def module_in(name: str) -> str | None:
    """The module that a dotted name names, or that holds what it names."""
    parts = name.split(".")
    known = (".".join(parts[:count]) for count in range(len(parts), 1, -1))
    return next((one for one in known if one in MODULES), None)


def imported(tree: ast.AST, *, types_too: bool = False) -> Iterator[str]:
    """Every name that is imported, in functions too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.expr):
            continue
        if isinstance(node, ast.If) and not types_too and _is_for_types(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node, types_too=types_too)


def _is_for_types(test: ast.expr) -> bool:
    named = (getattr(node, "id", getattr(node, "attr", "")) for node in ast.walk(test))
    return "TYPE_CHECKING" in named


def spelled(tree: ast.AST) -> Iterator[str]:
    """Every text that names a module, or something in one; docstrings only speak of them."""
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        text = node.value.replace(":", ".")
        if id(node) not in spoken and _NAME.fullmatch(text):
            yield text


@cache
def needs() -> Mapping[str, set[str]]:
    """What each module needs: by an import, or by a text that names it."""
    found: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # What answers former names, and those of a project's files, is asked by who imports them.
        answers = name.endswith((".former_names", ".project_jobs"))
        named = [*imported(tree), *(() if answers else spelled(tree))]
        if name == "headrace.cli.program":
            # It imports the module of the command that was given.
            named += [
                f"headrace.cli.{text.value.replace(':', '.')}"
                for commands in ("arguments", "operating_arguments")
                for text in ast.walk(
                    ast.parse(MODULES[f"headrace.cli.{commands}"].read_text(encoding="utf-8"))
                )
                if isinstance(text, ast.Constant)
                and isinstance(text.value, str)
                and _COMMAND.fullmatch(text.value)
            ]
        modules = {module_in(one) for one in named} - {None, name}
        found[name] = {one for one in modules if one is not None and not name.startswith(f"{one}.")}
    return found


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Modules that need each other, by taking away again and again what needs none that is left."""
    left = {name: set(others) for name, others in graph.items()}
    while True:
        free = {name for name, others in left.items() if not others & left.keys()}
        needed = set().union(*left.values()) if left else set()
        free |= {name for name in left if name not in needed}
        if not free:
            return [sorted(left)] if left else []
        left = {name: others for name, others in left.items() if name not in free}


def test_no_modules_need_each_other_by_imports_or_by_texts_that_name_them():
    assert circles(needs()) == []


def test_a_circle_that_a_text_closes_is_seen():
    text = 'import_module("headrace.engine.application")'
    named = {module_in(one) or "" for one in spelled(ast.parse(text))}
    graph = {**needs(), "headrace.jobapi": needs()["headrace.jobapi"] | named}

    (circle,) = circles(graph)

    assert {"headrace.jobapi", "headrace.engine.application"} <= set(circle)


def test_nothing_is_imported_by_the_names_of_the_folders():
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for folder in OURS
        for path in (ROOT / folder).rglob("*.py")
        # What a benchmark has installed, and the files of another project.
        if not {".peers", "project_template"} & set(path.parts)
        if _PERHAPS_A_FOLDER.search(text := path.read_text(encoding="utf-8"))
        for name in imported(ast.parse(text), types_too=True)
        if name.split(".")[0] in CODE
    ]
    assert wrong == []


@pytest.mark.parametrize("function", ["import_module", "__import__"])
def test_no_module_of_ours_is_imported_by_a_text(function):
    wrong = [
        name
        for name, path in MODULES.items()
        if function in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith(function)
        and any(isinstance(one, ast.Constant) and "headrace" in str(one.value) for one in node.args)
    ]
    assert wrong == []


def test_no_more_than_two_modules_have_one_name():
    names = Counter(path.stem for path in MODULES.values() if path.stem != "__init__")
    assert {name: count for name, count in names.items() if count > 2} == {}


def code_outside_tests() -> dict[str, str]:
    """The text of each file of code, by its path."""
    paths = [path for folder in OURS if folder != "tests" for path in (ROOT / folder).rglob("*")]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in [*ROOT.glob("*.py"), *paths]
        if ".peers" not in path.parts
        if path.suffix in (".py", ".sql", ".js", ".css", ".html")
    }


def too_long(files: Mapping[str, str]) -> list[str]:
    """The files and functions that nobody can take in at a glance."""
    found = []
    for path, text in files.items():
        if (count := len(text.splitlines())) > MOST_LINES:
            found.append(f"{path}: {count} lines")
        for node in ast.walk(ast.parse(text)) if path.endswith(".py") else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or node.lineno) - node.lineno + 1
                if count > MOST_LINES_OF_A_FUNCTION:
                    found.append(f"{path}: {node.name}: {count} lines")
    return sorted(found)


def test_files_and_functions_can_be_taken_in_at_a_glance():
    assert too_long(code_outside_tests()) == []


def test_a_longer_file_and_a_longer_function_are_found():
    body = "    pass\n" * MOST_LINES_OF_A_FUNCTION
    method = "class A:\n    async def f(self):\n" + "        pass\n" * MOST_LINES_OF_A_FUNCTION
    files = code_outside_tests() | {
        "runner/a.py": f"@cache\ndef f():\n{body}",
        "runner/b.py": method,
        "runner/c.sql": "\n" * (MOST_LINES + 1),
        "runner/d.py": "@cache\ndef f():\n" + "    pass\n" * (MOST_LINES_OF_A_FUNCTION - 1),
    }

    assert too_long(files) == [
        "runner/a.py: f: 41 lines",
        "runner/b.py: f: 41 lines",
        "runner/c.sql: 301 lines",
    ]


def entries(folder: Path) -> set[str]:
    return {
        path.name
        for path in folder.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }


def test_the_first_level_can_be_taken_in_at_a_glance():
    assert len(entries(ROOT / "runner")) <= MOST_ENTRIES


def test_jobs_holds_jobs_and_their_base_and_rooms():
    files = [path for path in (ROOT / "jobs").glob("*.py") if path.stem not in ("__init__", "base")]
    bases = ("(BaseJob)", "CheckedJob)")
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    without = [name for name, text in texts.items() if not any(base in text for base in bases)]
    assert without == []


def rooms() -> list[str]:
    found = [f"runner/{name}" for name in entries(ROOT / "runner") if not name.startswith("__")]
    for folder in ("runner/engine", "runner/engine/workers", "runner/declarations", "jobs"):
        found += [f"{folder}/{name}" for name in entries(ROOT / folder) if not name.endswith(".py")]
    return sorted(found)


@pytest.mark.parametrize("room", rooms())
def test_each_room_has_a_line_in_the_architecture(room):
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert re.search(rf"^\|.*`{room}/?`.*\|.*\|$", page, re.MULTILINE)


def test_the_contracts_list_every_room():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = {one["id"]: one for one in settings["contracts"]}
    for contract in ("layers", "engine", "workers", "group-commit"):
        assert contracts[contract]["exhaustive"]
        assert "ignore_imports" not in contracts[contract]
