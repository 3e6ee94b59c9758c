"""The row that a job of real work inserts, in every system.

Standard library only: adapters run in the environment of their system.
"""

import os

VARIABLE = "BENCH_INSERTS"
TABLE = """
CREATE TABLE bench_row (
    number integer PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
INSERT = "INSERT INTO bench_row (number) VALUES ({})"


def environment(inserts: bool) -> dict[str, str]:
    """Return what tells workers whether their jobs insert a row each."""
    return {VARIABLE: "1"} if inserts else {}


def inserting() -> bool:
    """Return whether the jobs of this worker insert a row each."""
    return bool(os.environ.get(VARIABLE))
