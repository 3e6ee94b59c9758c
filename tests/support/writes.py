"""One write for each job and mode, between two servers: what was there before it, and afterwards.

Every write turns the state `before` into the state `after`; a reader may see these two, and where
batches commit by themselves what is between. A state is a list of counts and digests.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE, OTHER = "here", "other"
State = list[tuple[Any, ...]]
Query = tuple[str, str]
"""A place and a SELECT."""

COLUMNS = "(id integer, k integer, v text)"
BATCHES = 7
# A condition that holds for each row and takes a while: a kill is to hit a write of few rows, too.
_SLOWLY = "WHERE (SELECT count(*) FROM generate_series(1, 300 + base.id % 2)) > 0"


@dataclass(frozen=True, slots=True)
class Write:
    """`prepare` makes the tables once, `reset` the state before; `looks` show the state.

    `between` says whether a reader may see a state that is neither. `exports` matches the files
    that are written; of those whose rows are in no order, `records` are all the lines.
    """

    job: str
    with_: Mapping[str, Any]
    prepare: Sequence[Query]
    reset: Sequence[Query]
    looks: Sequence[Query]
    before: Sequence[Query]
    after: Sequence[Query]
    between: Callable[[State], bool] = field(default=lambda _: False)
    exports: str | None = None
    records: frozenset[bytes] = frozenset()


def digest(rows: str) -> str:
    """Return a query for the number of rows and sums that differ if any value does."""
    return (
        "SELECT count(*)::int, coalesce(sum(id), 0)::text,"
        f" coalesce(sum(hashtext(t::text)::bigint), 0)::text FROM ({rows}) AS t"
    )


class Rows:
    """The rows of all writes: `old` ones are in the targets, `new` ones in files and sources."""

    def __init__(self, number: int) -> None:
        half = number // 2
        self.number = number
        self.old = self._rows("old", 1, number)
        self.new = self._rows("new", half + 1, number + half)
        self.new_first = f"{self._rows('old', 1, half)} UNION ALL {self.new}"
        self.old_first = f"{self.old} UNION ALL {self._rows('new', number + 1, number + half)}"
        self.both = f"{self.old} UNION ALL {self.new}"

    def _rows(self, word: str, first: int, last: int) -> str:
        return (
            f"SELECT g AS id, g % 100 AS k, '{word} ' || g || ' größe' AS v"
            f" FROM generate_series({first}, {last}) AS g"
        )

    def write_files(self, folder: Path) -> bytes:
        """Write the new rows as CSV and JSON Lines, and return the latter."""
        half = self.number // 2
        new = [(g, g % 100, f"new {g} größe") for g in range(half + 1, self.number + half + 1)]
        text = "id,k,v\n" + "".join(f"{g},{k},{v}\n" for g, k, v in new)
        (folder / "new.csv").write_text(text, encoding="utf-8")
        lines = "".join(json.dumps({"id": g, "k": k, "v": v}) + "\n" for g, k, v in new)
        return lines.encode()


def size_of(rows: Rows) -> int:
    return max(1, rows.number // BATCHES)


def filled(table: str, rows: str) -> str:
    return f"TRUNCATE {table}; INSERT INTO {table} {rows}"


def _into(
    rows: Rows, table: str, job: str, with_: Mapping[str, Any], after: str, *,
    key: bool = True, place: str = HERE, prepare: Sequence[Query] = (),
) -> Write:  # fmt: skip
    """Return a write into a table that holds the old rows; `after` are the rows it then has."""
    made = f"CREATE TABLE {table} {COLUMNS}"
    return Write(
        job, with_,
        prepare=[(place, f"{made}; {f'ALTER TABLE {table} ADD PRIMARY KEY (id)' if key else ''}"),
                 *prepare],
        reset=[(place, filled(table, rows.old))],
        looks=[(place, digest(f"SELECT * FROM {table}"))],
        before=[(place, digest(rows.old))],
        after=[(place, digest(after))],
    )  # fmt: skip


def loads(rows: Rows) -> dict[str, Write]:
    """Return LoadFile in each mode, here and (behind a ledger) on the other server."""
    file, key = {"path": "new.csv"}, {"primary_key": "id"}

    def load(table: str, after: str, place: str = HERE, **with_: Any) -> Write:
        given = {**file, "table": table, **with_}
        return _into(rows, table, "LoadFile", given, after, key="primary_key" in with_, place=place)

    away = {"connection": OTHER}
    return {
        "load append": load("appended", rows.both),
        "load replace": load("replaced", rows.new, mode="replace"),
        "load merge": load("merged", rows.new_first, mode="merge", **key),
        "load insert_only": load("added", rows.old_first, mode="insert_only", **key),
        "load append elsewhere": load("appended_away", rows.both, OTHER, **away),
        "load merge elsewhere": load(
            "merged_away", rows.new_first, OTHER, mode="merge", **key, **away
        ),
    }  # fmt: skip


def copies(rows: Rows) -> dict[str, Write]:
    """Return the copies from the other server."""
    source: Query = (OTHER, f"CREATE TABLE {{}} {COLUMNS}; INSERT INTO {{}} {rows.new}")

    def copy(job: str, table: str, after: str = rows.new, **with_: Any) -> Write:
        name = f"{table}_source"
        given = {"source_connection": OTHER, "source_table": name, "target_table": table, **with_}
        prepare = [(source[0], source[1].format(name, name))]
        return _into(rows, table, job, given, after, prepare=prepare)

    key = {"primary_key": "id"}
    return {
        "sync upsert": copy("SyncTable", "synced", **key, delete_missing="hard"),
        "sync delete_insert": copy(
            "SyncTable", "synced_anew", rows.new_first, **key, merge_strategy="delete_insert"
        ),
        "mirror": copy("MirrorTable", "mirrored"),
        "sync chunks": replace(
            copy("SyncTable", "chunked", rows.new_first, **key, chunk_size=size_of(rows)),
            between=lambda state: _chunks_are_whole(rows, state),
        ),
    }


def _chunks_are_whole(rows: Rows, state: State) -> bool:
    """Chunks go by the key: first those that change old rows, then those that add new ones."""
    ((there, *_),) = state
    changed = rows.number - rows.number // 2
    added = there - rows.number
    return bool(added == 0 or (changed + added) % size_of(rows) == 0)


def sets(rows: Rows) -> dict[str, Write]:
    """Return copies of tables that refer to each other, by one connection and by several.

    Both are looked at in one snapshot: old rows of one beside new ones of the other are wrong.
    """
    several = {"jobs": 2, "split_tables_larger_than": "64kB"}
    return {
        "mirror set": _set(rows, "one", {}),
        "mirror set parallel": _set(rows, "many", several),
        "mirror set elsewhere": _set(rows, "away", several, source=HERE, target=OTHER),
    }


def _set(
    rows: Rows, name: str, with_: Mapping[str, Any], *, source: str = OTHER, target: str = HERE
) -> Write:
    made = (
        f"CREATE SCHEMA {name}; CREATE TABLE {name}.parent {COLUMNS};"
        f" ALTER TABLE {name}.parent ADD PRIMARY KEY (id); CREATE TABLE {name}.child {COLUMNS};"
        f" ALTER TABLE {name}.child ADD FOREIGN KEY (id) REFERENCES {name}.parent"
    )
    fill = "INSERT INTO {0}.parent {1}; INSERT INTO {0}.child {1}"
    looks = [digest(f"SELECT * FROM {name}.{table}") for table in ("parent", "child")]
    named = {"source_connection": source, "target_connection": target}
    return Write(
        "MirrorTable",
        {"tables": [f"{name}.*"], **with_}
        | {key: None if place == HERE else place for key, place in named.items()},
        prepare=[(target, made), (source, f"{made}; {fill.format(name, rows.new)}")],
        reset=[(target, f"TRUNCATE {name}.child, {name}.parent; {fill.format(name, rows.old)}")],
        looks=[(target, " UNION ALL ".join(looks))],
        before=[(HERE, digest(rows.old))] * 2,
        after=[(HERE, digest(rows.new))] * 2,
    )


def results(rows: Rows, folder: Path, http_url: str) -> dict[str, Write]:
    """Return the jobs that write what a query, a script or a server gives."""
    sql = folder / "sql"
    sql.mkdir(exist_ok=True)
    script = f"DELETE FROM populated; INSERT INTO populated {rows.new}"
    (sql / "populate.sql").write_text(script, encoding="utf-8")
    totals = "SELECT k AS id, count(*) AS n FROM ({}) AS s GROUP BY k"
    return {
        "populate": _into(rows, "populated", "PopulateRecords",
                          {"sql_path": "populate.sql"}, rows.new),
        "run_sql into": _into(rows, "selected", "RunSql",
                              {"sql": rows.new, "into": "selected"}, rows.new),
        "run_sql elsewhere": _into(
            rows, "inserted", "RunSql",
            {"sql": f"INSERT INTO inserted {rows.new}", "connection": OTHER}, rows.both,
            key=False, place=OTHER,
        ),
        "http": _into(rows, "fetched", "HttpExtract",
                      {"url": http_url, "into": "fetched", "format": "jsonl", "mode": "replace"},
                      rows.new),
        "aggregate": Write(
            "DataAggregation",
            {"table": "to_sum", "group_by": "id", "aggregates": {"n": "count(*)"},
             "into": "sums"},
            prepare=[(HERE, ("CREATE TABLE to_sum (id integer);"
                            " CREATE TABLE sums (id integer, n bigint)"))],
            reset=[(HERE, (f"TRUNCATE to_sum, sums; INSERT INTO to_sum SELECT k FROM ({rows.new})"
                          " AS s; INSERT INTO sums VALUES (-1, 0)"))],
            looks=[(HERE, digest("SELECT id, n FROM sums"))],
            before=[(HERE, digest("SELECT -1 AS id, 0 AS n"))],
            after=[(HERE, digest(totals.format(rows.new)))],
        ),
        "refresh": Write(
            "RefreshView", {"view": "seen"},
            prepare=[(HERE, (f"CREATE TABLE base {COLUMNS};"
                            f" CREATE MATERIALIZED VIEW seen AS SELECT * FROM base {_SLOWLY};"
                            " CREATE UNIQUE INDEX ON seen (id)"))],
            reset=[(HERE, (f"{filled('base', rows.old)}; REFRESH MATERIALIZED VIEW seen;"
                          f" {filled('base', rows.new)}"))],
            looks=[(HERE, digest("SELECT * FROM seen"))],
            before=[(HERE, digest(rows.old))],
            after=[(HERE, digest(rows.new))],
        ),
    }  # fmt: skip
