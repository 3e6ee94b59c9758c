"""All writes that `kills.py` interrupts; here those by which rows leave a table or a database."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.support.writes import (
    COLUMNS,
    HERE,
    OTHER,
    Rows,
    State,
    Write,
    copies,
    digest,
    filled,
    loads,
    results,
    sets,
    size_of,
)


def archives(rows: Rows) -> dict[str, Write]:
    """Return ArchiveRows in one transaction, in batches, and in batches across two servers."""
    return {
        "archive": _archive(rows, "archived", {}, HERE),
        "archive batches": _archive(rows, "batched", {"batch_size": size_of(rows)}, HERE),
        "archive across": _archive(
            rows, "crossed", {"batch_size": size_of(rows), "target_connection": OTHER}, OTHER
        ),
        "archive files": _archive_to_files(rows),
    }


def _archive_to_files(rows: Rows) -> Write:
    """Each batch is a file; every row is in the table or in a file, in the end in one file only."""
    size, number = size_of(rows), rows.number
    write = _archive(rows, "filed", {"batch_size": size}, HERE)
    lines = (
        f"{g},{g % 100},old {g} größe,{date(2020, 1, 1) + timedelta(g % 100)}"
        for g in range(1, number + 1)
    )
    with_ = {key: value for key, value in write.with_.items() if key != "into"}
    return replace(
        write,
        with_={**with_, "path": "filed.csv"},
        looks=[(HERE, digest("SELECT * FROM filed"))],
        before=write.before[:1],
        after=write.after[:1],
        between=lambda state: (number - state[0][0]) % size == 0,
        exports="filed-*.csv",
        records=frozenset(line.encode() for line in lines),
    )


def _archive(rows: Rows, name: str, with_: Mapping[str, Any], place: str) -> Write:
    """All rows leave the table: in the end none is lost, and none is there twice."""
    made = "CREATE TABLE {} (id integer PRIMARY KEY, k integer, v text, day date)"
    dated = f"SELECT *, date '2020-01-01' + k AS day FROM ({rows.old}) AS s"
    left, moved = digest(f"SELECT * FROM {name}"), digest(f"SELECT * FROM {name}_old")
    none = digest(f"{dated} LIMIT 0")
    # One snapshot where both are in one database; otherwise the source is read first, so that a
    # row that has left it must be in the archive.
    looks = (
        [(HERE, f"{left} UNION ALL {moved}")] if place == HERE else [(HERE, left), (OTHER, moved)]
    )

    def between(state: State) -> bool:
        (left_, *_), (moved_, *_) = state
        whole = moved_ in (0, rows.number) or moved_ % size_of(rows) == 0
        kept = left_ + moved_ == rows.number if place == HERE else left_ + moved_ >= rows.number
        return "batch_size" in with_ and whole and kept

    return Write(
        "ArchiveRows",
        {"table": name, "into": f"{name}_old", "column": "day", "before": "2021-01-01", **with_},
        prepare=[(HERE, made.format(name)), (place, made.format(f"{name}_old"))],
        reset=[(HERE, filled(name, dated)), (place, f"TRUNCATE {name}_old")],
        looks=looks,
        before=[(HERE, digest(dated)), (HERE, none)],
        after=[(HERE, none), (HERE, digest(dated))],
        between=between,
    )


def exports(rows: Rows) -> dict[str, Write]:
    """Return exports: to one file, and to several."""
    sql = "SELECT * FROM exported ORDER BY id"
    common: dict[str, Any] = {
        "prepare": [(HERE, f"CREATE TABLE IF NOT EXISTS exported {COLUMNS}")],
        "reset": [(HERE, filled("exported", rows.new))],
        "looks": [], "before": [], "after": [],
    }  # fmt: skip
    return {
        "export": Write(
            "ExportQuery", {"sql": sql, "path": "one.csv"}, exports="one*.csv", **common
        ),
        "export split": Write(
            "ExportQuery", {"sql": sql, "path": "parts.csv", "split": {"rows": size_of(rows)}},
            exports="parts*.csv", **common,
        ),
    }  # fmt: skip


def all_writes(rows: Rows, folder: Path, http_url: str) -> dict[str, Write]:
    """Return every write by its name."""
    return {
        **loads(rows),
        **copies(rows),
        **sets(rows),
        **results(rows, folder, http_url),
        **archives(rows),
        **exports(rows),
    }
