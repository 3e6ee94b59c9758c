"""Whole numbers under `mask: hash`: exchanged one for one, the same by each job."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from headrace.jobs.load_file import LoadFile
from headrace.jobs.mirror_table import MirrorTable
from headrace.jobs.sync_table import SyncTable
from tests.support.attempts import JobRunner

SALT = "a secret that is long enough"
MASKED: dict[str, Any] = {"mask_salt": {"env": "SALT_OF_TESTS"}}
EDGES = (0, 1, 2, 32767, 32768, 65535, 65536, 2**31 - 2, 2**31 - 1)


@pytest.fixture
def run_job(target: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobRunner:
    monkeypatch.setenv("SALT_OF_TESTS", SALT)
    return JobRunner({None: target}, search_path=(tmp_path,), project=tmp_path)


def exchanged(number: int, bits: int) -> int:
    """The number that stands for another one, by the network written out."""
    low = bits // 2
    high = bits - low
    positive = number if number >= 0 else ~number
    left, right = positive >> low, positive & ((1 << low) - 1)
    for round_ in range(8):
        half = left if round_ % 2 else right
        digest = hashlib.sha256(f"{SALT} {bits} {round_} {half}".encode()).digest()
        mixed = int.from_bytes(digest[:2], "big")
        if round_ % 2:
            right ^= mixed & ((1 << low) - 1)
        else:
            left ^= mixed & ((1 << high) - 1)
    found = (left << low) | right
    return found if number >= 0 else ~found


def test_all_numbers_of_a_type_are_exchanged_for_all_of_them(run_job, execute, query):
    execute(
        "CREATE TABLE s (id smallint PRIMARY KEY, of_ int NOT NULL, l int, r smallint);"
        "INSERT INTO s SELECT n, n, n, n FROM generate_series(-32768, 32767) AS n"
    )

    run_job(MirrorTable, source_table="s", target_table="copy", **MASKED,
            mask={"id": "hash", "l": "hash", "r": "hash"})  # fmt: skip

    found = query("SELECT of_, id, l, r FROM copy")
    assert len(found) == len({row[1] for row in found}) == len({row[2] for row in found}) == 65536
    assert all((of >= 0) == (small >= 0) == (whole >= 0) for of, small, whole, _ in found)
    assert all(small == r for _, small, _, r in found)
    assert {row[0]: row[1:3] for row in found if row[0] % 97 == 0} == {
        number: (exchanged(number, 15), exchanged(number, 31))
        for number in range(-32768, 32768) if number % 97 == 0
    }  # fmt: skip
    # It still is the key: two of its numbers were never made equal.
    key = "SELECT contype FROM pg_constraint WHERE conrelid = 'copy'::regclass AND contype = 'p'"
    assert query(key) == [("p",)]


def test_each_job_exchanges_a_number_for_the_same_one(run_job, execute, query, tmp_path):
    numbers = sorted({*EDGES, *(~one for one in EDGES)})
    execute("CREATE TABLE s (id int PRIMARY KEY, of_ int, small smallint)")
    execute(
        "INSERT INTO s SELECT n, n, greatest(-32768, least(n, 32767)) FROM unnest"
        f"(ARRAY{numbers}) AS n; INSERT INTO s VALUES (7, NULL, NULL)"
    )
    execute(
        "CREATE TABLE loaded (LIKE s INCLUDING ALL); CREATE TABLE synced (LIKE s INCLUDING ALL)"
    )
    rows = query("SELECT id, id, small FROM s WHERE of_ IS NOT NULL")
    lines = ["id,of_,small", *(",".join(map(str, row)) for row in rows), "7,,"]
    (tmp_path / "in.csv").write_text("\n".join(lines), encoding="utf-8")
    mask = {"mask": {"id": "hash", "small": "hash"}}

    run_job(MirrorTable, source_table="s", target_table="copied", **MASKED, **mask)
    run_job(SyncTable, source_table="s", target_table="synced", key="id", **MASKED, **mask)
    run_job(LoadFile, path="in.csv", table="loaded", mode="merge", **MASKED, **mask)

    copied, loaded, synced = (
        query(f"SELECT of_, id, small FROM {table} ORDER BY of_")
        for table in ("copied", "loaded", "synced")
    )
    assert copied == loaded == synced
    assert copied[-1] == (None, exchanged(7, 31), None)
    assert copied[:-1] == [
        (of, exchanged(of, 31), exchanged(max(-32768, min(of, 32767)), 15)) for of in numbers
    ]
