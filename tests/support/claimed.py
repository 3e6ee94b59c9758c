"""A claimed attempt, as its row would say it."""

from typing import Any
from uuid import uuid4

from headrace.store.attempts import Claimed

_PLAIN: dict[str, Any] = {
    "job_class": "Short",
    "payload": {},
    "queue": "low",
    "attempt": 1,
    "retry_count": 0,
    "timeout_s": 60.0,
    "retry": "{}",
    "run_id": None,
    "pipeline": None,
    "step": None,
    "dependents": 0,
    "late": False,
    "folder": "",
    "logical_date": None,
    "pool": None,
    "pool_slots": None,
    "env": None,
}


def claimed(**columns: Any) -> Claimed:
    """Return one with columns of one's choice."""
    return Claimed(**{"id": uuid4(), **_PLAIN, **columns})
