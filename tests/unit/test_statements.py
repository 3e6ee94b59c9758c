"""Every call of a named statement gives the values that its SQL asks for, and no others."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.store import queries
from headrace.store.statements import FOLDER, STATEMENTS

ROOT = Path(__file__).resolve().parents[2]
_METHODS = ("rows", "row", "prepared")
# Statements by a name that is a variable at the call, each with all that it may be.
CHOSEN = {
    "cli/finding.py": ("run", "job"),
    "web/json_rows.py": ("run", "job"),
}
# Calls that pass a mapping on, with the keys that it has.
_LOG = ("id", "attempt", "first_left_out", "last_left_out", "entries")
_JOB = ("id", "job_class", "payload", "queue", "timeout_s", "retry", "idempotency_key")
_KEY = ("pipeline", "idempotency_key")
_ENDED = ("since", "until", "number")
_WORKER = ("name", "hostname", "pid", "birth_ticks", "queues", "processes", "job_files")
_DEED = ("actor", "via", "role", "action", "path", "address")
SPREAD = {
    "begin_deed": _DEED,
    "count_refusals": _DEED,
    "hold_log": _LOG,
    "forget_left_out": _LOG,
    "add_log_lines": _LOG,
    "may_keep_log": ("id", "attempt"),
    "insert_job": _JOB,
    "insert_job_id": _JOB,
    "insert_dependent_job": _JOB,
    "lock_run_key": _KEY,
    "run_by_key": _KEY,
    "register_worker": _WORKER,
    "count_jobs": _ENDED,
    "count_runs": _ENDED,
    "jobs_of_kind": ("status", "queue", "job_class"),
    "jobs_of_pipeline": ("status", "queue", "job_class"),
}
# Of one mapping for several statements, each needs less.
SPARE = {
    "hold_log": {"last_left_out", "entries"},
    "forget_left_out": {"entries"},
    "add_log_lines": {"first_left_out", "last_left_out"},
}


@dataclass(frozen=True)
class Call:
    """One call of `rows`, `row` or `prepared` with a statement's name."""

    place: str
    statement: str
    given: frozenset[str]


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "runner").rglob("*.py")):
        if "project_template" in path.parts:
            continue  # files of another project
        name = str(path.relative_to(ROOT / "runner"))
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def calls_in(name: str, tree: ast.AST) -> Iterator[Call]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr not in _METHODS or len(node.args) != 1:
            continue
        first = node.args[0]
        named: tuple[str, ...] = ()
        if isinstance(first, ast.Constant):
            named = (str(first.value),)
        elif ast.unparse(first).startswith("queries."):
            named = (getattr(queries, ast.unparse(first).removeprefix("queries.")).name,)
        elif node.keywords and all(one.arg for one in node.keywords):
            named = CHOSEN[name]
        for statement in named:
            given: set[str] = set()
            for keyword in node.keywords:
                given |= {keyword.arg} if keyword.arg else set(SPREAD[statement])
            place = f"{name}:{node.lineno}"
            yield Call(place, statement, frozenset(given - SPARE.get(statement, set())))


def faults_of(calls: Iterator[Call]) -> list[str]:
    faults = []
    for call in calls:
        known = STATEMENTS.get(call.statement)
        if known is None:
            faults.append(f"{call.place}: there is no statement {call.statement}")
        elif missing := set(known.parameters) - call.given:
            faults.append(f"{call.place}: {call.statement} lacks {sorted(missing)}")
        elif unknown := call.given - set(known.parameters):
            faults.append(f"{call.place}: {call.statement} has no {sorted(unknown)}")
    return faults


def test_every_call_names_a_statement_and_gives_exactly_its_parameters() -> None:
    calls = [call for name, tree in sources() for call in calls_in(name, tree)]
    assert faults_of(iter(calls)) == []
    assert len(calls) > 100
    assert SPREAD.keys() <= {call.statement for call in calls}


def test_a_misspelt_statement_or_parameter_is_found() -> None:
    code = 'tx.row("jbo", id=1); tx.rows("lock_run"); tx.rows("lock_run", id=1, ids=2)'
    assert faults_of(calls_in("x.py", ast.parse(code))) == [
        "x.py:1: there is no statement jbo",
        "x.py:1: lock_run lacks ['id']",
        "x.py:1: lock_run has no ['ids']",
    ]


def test_every_statement_is_used_by_code_or_by_another_statement() -> None:
    used = {name for names in CHOSEN.values() for name in names}
    for name, tree in sources():
        used |= {call.statement for call in calls_in(name, tree)}
        if any(isinstance(node, ast.Name) and node.id == "STATEMENTS" for node in ast.walk(tree)):
            # Looked up by a name that is spelled out somewhere in the module.
            used |= {
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            }
    for path in FOLDER.glob("*.sql"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("-- include: "):
                used.add(line.removeprefix("-- include: "))
    assert STATEMENTS.keys() - used == set()
