"""Moves rows with dlt: `move_rows.py load FILE URL TABLE` or `… mirror SOURCE URL TABLE`.

As its documentation advises for speed: Arrow tables into its normalizer, CSV files by COPY out of
it, or its `pyarrow` backend from a database.
"""

import sys
import tempfile

import dlt
from pyarrow import csv

_CHUNK_ROWS = 100_000


def main(task: str, source: str, target: str, table: str) -> None:
    """Run one pipeline, from nothing to rows that are committed."""
    resource = _file(source) if task == "load" else _database(source)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=dlt.destinations.postgres(target),
            dataset_name="public",
        )
        pipeline.run(
            resource, table_name=table, write_disposition="replace", loader_file_format="csv"
        ).raise_on_failed_jobs()


def _file(path: str) -> object:
    @dlt.resource(name="rows")
    def rows() -> object:
        yield from csv.open_csv(path)

    return rows


def _database(url: str) -> object:
    from dlt.sources.sql_database import sql_table  # a second to import

    return sql_table(url, table="source", backend="pyarrow", chunk_size=_CHUNK_ROWS)


if __name__ == "__main__":
    main(*sys.argv[1:])
