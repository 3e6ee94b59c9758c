"""Marks, in whichever process, the lines and SQL statements that are executed.

A byte for each line lies in a file that all processes of a test share as memory. So a mark is there
at once, whether its process goes on, forks or is killed. Each statement of Headrace's modules
gets a mark in front of it while it is compiled; line numbers, sources and tracebacks stay.

This file is copied into the `site-packages` of the copy of the tree in which the tests run, where
a `.pth` file imports it as each interpreter starts. It needs the standard library only.
"""

import ast
import builtins
import json
import mmap
import os
import re
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

NAME = "__headrace_marks__"
FILE = "HEADRACE_MARKS"
_ABOUT = Path(__file__).with_name("headrace_marks.json")
_EXECUTED = re.compile(r"\bEXECUTE hr_(\w+)|/\*hr=(\w+)\*/")
_plain_compile = SourceFileLoader.source_to_code


class Marks:
    """The file of marks of this process, and where in it each source file begins."""

    def __init__(self) -> None:
        about = json.loads(_ABOUT.read_text(encoding="utf-8"))
        self.total: int = about["total"]
        self.root: str = about["root"]
        self.first: dict[str, int] = about["first"]
        self.statements: dict[str, int] = about["statements"]
        self._folder: str = about["folder"]
        self.use(os.environ.get(FILE) or self._of_an_ancestor())

    def use(self, path: str | None) -> None:
        """Mark in `path` from now on; nowhere that counts if there is none."""
        marks: Any = bytearray(self.total)
        if path is not None:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.ftruncate(descriptor, self.total)
            marks = mmap.mmap(descriptor, self.total)
            os.close(descriptor)
        setattr(builtins, NAME, marks)

    def drain(self) -> bytes:
        """Return all marks and begin anew."""
        marks = getattr(builtins, NAME)
        found, marks[:] = bytes(marks), bytes(self.total)
        return found

    def executed(self, sql: object) -> None:
        """Mark the named statements in a text that is about to be sent."""
        text = sql.decode() if isinstance(sql, bytes) else str(sql)
        prepares = "PREPARE hr_" in text
        for executed, plain in _EXECUTED.findall(text):
            if executed or not prepares:
                self.mark(executed or plain)

    def mark(self, statement: str) -> None:
        """Mark a statement or a template by its name."""
        if (place := self.statements.get(statement)) is not None:
            getattr(builtins, NAME)[place] = 1

    def _of_an_ancestor(self) -> str | None:
        """Find the file in a process whose environment a test has made: its ancestors' has it."""
        pid = os.getppid()
        while pid > 1:
            path = f"{self._folder}/{pid}"
            if os.path.exists(path):  # noqa: PTH110 - each start of an interpreter waits for this
                return path
            try:
                status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            except OSError:
                return None
            pid = int(status.rpartition(")")[2].split()[1])
        return None


class _Marking(ast.NodeTransformer):
    """Puts a mark in front of each statement."""

    def __init__(self, first: int) -> None:
        self._first = first

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                docstring = field == "body" and _may_have_docstring(node)
                setattr(node, field, self._marked(statements, docstring=docstring))
        return node

    def _marked(self, statements: list[ast.stmt], *, docstring: bool) -> list[ast.stmt]:
        marked: list[ast.stmt] = []
        for number, one in enumerate(statements):
            if not (docstring and number == 0 and _is_text(one)) and not _is_future(one):
                marked.append(self._mark(one))
            marked.append(one)
        return marked

    def _mark(self, statement: ast.stmt) -> ast.stmt:
        place = self._first + statement.lineno - 1
        mark = ast.parse(f"{NAME}[{place}] = 1").body[0]
        for node in ast.walk(mark):
            if isinstance(node, ast.stmt | ast.expr):
                node.lineno = node.end_lineno = statement.lineno
                node.col_offset = node.end_col_offset = statement.col_offset
        return mark


def _may_have_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def install() -> Marks:
    """Mark what is imported from now on in this process."""
    marks = Marks()

    def compile_marked(self: SourceFileLoader, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        real = os.path.realpath(path)
        first = marks.first.get(os.path.relpath(real, marks.root))
        if first is None:
            return _plain_compile(self, data, path, _optimize=_optimize)
        tree = _Marking(first).visit(ast.parse(data, path))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    plain_exec = SourceFileLoader.exec_module

    def exec_module(self: SourceFileLoader, module: Any) -> None:
        plain_exec(self, module)
        if after := _AFTER.get(module.__name__):
            after(marks, module)

    SourceFileLoader.source_to_code = compile_marked  # type: ignore[method-assign,assignment]
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign,assignment]
    return marks


def _after_statements(_marks: Marks, module: Any) -> None:
    """Give each statement its name, by which it is known where it is sent."""
    module.STATEMENTS = {
        name: module.Statement(name, f"{one.sql} /*hr={name}*/")
        for name, one in module.STATEMENTS.items()
    }


def _after_templates(marks: Marks, module: Any) -> None:
    read = module._template

    def noted(name: str) -> Any:
        marks.mark(f"{name}.sql.j2")
        return read(name)

    module._template = noted


def _after_driver(marks: Marks, module: Any) -> None:
    """Have every cursor of psycopg2 mark what it sends."""
    plain_connect = module.connect

    class MarkingCursor(module.extensions.cursor):  # type: ignore[misc]
        def execute(self, sql: Any, values: Any = None) -> None:
            marks.executed(sql)
            super().execute(sql, values)

    def connect(*args: Any, **options: Any) -> Any:
        connection = plain_connect(*args, **options)
        if connection.cursor_factory is None:
            connection.cursor_factory = MarkingCursor
        return connection

    module.extensions.cursor, module.connect = MarkingCursor, connect


_AFTER = {
    "headrace.store.statements": _after_statements,
    "headrace.jobs.sql.packaged": _after_templates,
    "psycopg2": _after_driver,
}
