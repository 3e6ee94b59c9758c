"""Counts what a load would change: the files are read, and nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from headrace.jobs.copying.file_reading import DataFile
from headrace.jobs.copying.loaded_files import LoadedFiles
from headrace.jobs.copying.row_intake import Intake
from headrace.jobs.copying.table_load import TableLoad
from headrace.jobs.files.text_files import FileSource
from headrace.jobs.tables.expectations import NOTHING_EXPECTED
from headrace.jobs.tables.masks import Mask
from headrace.jobs.tables.row_forecast import (
    ByKey,
    Looking,
    by_key,
    judged,
    of_appended,
    of_new_table,
    of_replacement,
)
from headrace.jobs.tables.row_storage import Staged
from headrace.jobs.tables.table_catalog import writable_table
from headrace.model.forecast import FileForecast, Forecast


def of_load(
    looking: Looking,
    load: TableLoad,
    sources: Sequence[FileSource],
    *,
    records: LoadedFiles | None,
    opened: Callable[[FileSource], DataFile],
    masks: Mapping[str, Mask],
) -> Forecast:
    """Return what loading the files would change.

    Raises:
        JobFailure: it would fail, and why.
    """
    files, new = _files(looking, sources, records)
    if not new:
        return Forecast(files=files, read=0, notes=("there is no new file",))
    session = looking.session
    target = writable_table(session, load.table)
    intake = load.staged(session, target, [opened(one) for one in new], masks)
    duplicates = intake.ready_staged()
    staged = Staged(intake.read - duplicates, source=load.name)
    if target is None:
        taken = [one for one in intake.columns if one.name in intake.seen or not intake.seen]
        columns = [*taken, *load.metadata.columns(intake.target)]
        found = of_new_table(load.table, staged.rows, columns, NOTHING_EXPECTED)
    else:
        found = _of_existing(looking, load, intake, staged)
    # All that have come are counted, also those that give way to another one of their key.
    found = judged(found, lambda: load.how.expect.check_rows(intake.read, load.table))
    gives = "1 row gives" if duplicates == 1 else f"{duplicates:,} rows give"
    notes = [f"{gives} way to another one of their key"] if duplicates else []
    return replace(found, files=files, read=intake.read, notes=(*found.notes, *notes))


def _of_existing(looking: Looking, load: TableLoad, intake: Intake, staged: Staged) -> Forecast:
    how, target = load.how, intake.target
    expect = replace(how.expect, rows=None)
    ours = load.metadata.columns(target)
    if how.mode == "replace":
        return of_replacement(
            looking, target, staged,
            policy=how.on_schema_change, expect=expect, may_keep=False, ours=ours,
        )  # fmt: skip
    if not how.by_key:
        policy = how.on_schema_change
        return of_appended(looking, target, staged, policy=policy, expect=expect, ours=ours)
    compared = ByKey(
        intake.key(),
        update=how.mode == "merge",
        policy=how.on_schema_change,
        expect=expect,
        ours=ours,
    )
    return by_key(looking, target, staged, compared)


def _files(
    looking: Looking, sources: Sequence[FileSource], records: LoadedFiles | None
) -> tuple[tuple[FileForecast, ...], list[FileSource]]:
    if records is None:
        return tuple(FileForecast(one.name, one.size_bytes) for one in sources), list(sources)
    files, new = [], []
    with looking.reading() as reading:
        for source, digest, earlier in records.known_ones(reading, sources):
            skipped = None
            if earlier is None:
                new.append(source)
            elif earlier == source.name:
                skipped = "was loaded before"
            else:
                skipped = f"its content was loaded before, from {earlier}"
            files.append(FileForecast(source.name, digest.size_bytes, skipped))
    return tuple(files), new
