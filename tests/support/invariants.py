"""The check that ends every test of faults: one SQL script, no row may come back."""

import json
from pathlib import Path
from typing import NamedTuple

from headrace.engine.gating.gate import CRASH_BUDGET
from headrace.model.status import TRANSITIONS
from tests.support.servers import connect

_FOLDER = Path(__file__).parent


class Violation(NamedTuple):
    invariant: str
    id: str
    detail: str


def install_audit(database_url: str) -> None:
    """Have every change of a job recorded, and make the table `effect`."""
    sql = (_FOLDER / "audit.sql").read_text(encoding="utf-8")
    opened = connect(database_url)
    with opened.cursor() as cursor:
        cursor.execute(sql)
    opened.close()


def violations(database_url: str, *, settled: bool = True) -> list[Violation]:
    """Return what does not hold. `settled`: by now every job and run must have ended."""
    pairs = [[old, new] for old, following in TRANSITIONS.items() for new in following]
    opened = connect(database_url)
    with opened.cursor() as cursor:
        cursor.execute(
            (_FOLDER / "invariants.sql").read_text(encoding="utf-8"),
            {
                "transitions": json.dumps(pairs),
                "crash_budget": CRASH_BUDGET,
                "settled": settled,
            },
        )
        found = [Violation(*row) for row in cursor.fetchall()]
    opened.close()
    return found


def check_invariants(database_url: str, *, settled: bool = True) -> None:
    """Fail with the list of what does not hold."""
    found = violations(database_url, settled=settled)
    assert not found, "\n" + "\n".join(" | ".join(map(str, one)) for one in found[:30])
