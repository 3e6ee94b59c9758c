"""The loggers have names that whoever filters logs can rely on."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    "headrace", "headrace.audit", "headrace.daemon", "headrace.engine", "headrace.job",
    "headrace.redis", "headrace.up", "headrace.web", "headrace.worker",
}  # fmt: skip
OF_LIBRARIES = {"opentelemetry", "sqlglot"}


def names(path: Path) -> Iterator[str]:
    """Yield the texts that a module calls loggers by."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("getLogger"):
            yield from (str(one.value) for one in node.args if isinstance(one, ast.Constant))


def test_each_logger_is_one_of_those_that_are_known() -> None:
    found = {
        name
        for folder in ("runner", "jobs")
        for path in (ROOT / folder).rglob("*.py")
        if "project_template" not in path.parts
        for name in names(path)
    }
    assert found - OF_LIBRARIES == OURS
