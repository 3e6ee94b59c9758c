"""Copies a file the quick way, and if a row does not fit, row by row."""

from headrace.errors import JobFailure
from headrace.jobapi import logger
from headrace.jobs.copying.careful_copy import CarefulCopy
from headrace.jobs.copying.file_reading import DataFile
from headrace.jobs.copying.rejected_rows import Rejects
from headrace.jobs.copying.row_intake import Intake


def copy_file(file: DataFile, intake: Intake, rejects: Rejects | None) -> None:
    """Copy a file; with `rejects` the rows that do not fit are set aside.

    Raises:
        JobFailure: a row does not fit, or too many do not.
    """
    if rejects is None:
        file.copy(intake)
        return
    before = intake.read, intake.written, set(intake.seen)
    try:
        with intake.session.begin_nested():
            file.copy(intake)
    except JobFailure as reason:
        logger.info("Reading %s once more, row by row: %s", file.name, reason)
        intake.read, intake.written, intake.seen = before
        careful = file.careful(intake)
        names = {column.name for column in intake.columns}
        intake.begin_file(file.name, [name for name in careful.columns if name in names])
        copy = CarefulCopy(intake, rejects, file.name, careful.columns, careful.default_mark)
        stored = copy.run(careful.rows)
        seen = careful.seen() if careful.seen else [n for n in careful.columns if n in names]
        intake.account(file.name, stored, stored, seen)
