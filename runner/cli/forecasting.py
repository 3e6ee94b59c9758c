"""Prints what the loads of a plan would change, as `headrace plan --data` counts it."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.errors import ConfigError
from headrace.errors.numbers import number_of

if TYPE_CHECKING:
    from headrace.engine.explain.forecasts import ForecastJob
    from headrace.model.forecast import FileForecast, Forecast, TableForecast

_MOST_FILES = 10


def timeout_of(given: argparse.Namespace) -> float:
    """Return the seconds that `--data` may take for one step.

    Raises:
        ConfigError: `--data-timeout` is no duration, or `--diff` is given, too.
    """
    from headrace.model.duration import parse_duration_s

    if given.diff:
        raise ConfigError("--data and --diff do not go together: ask one after the other")
    try:
        seconds = parse_duration_s(given.data_timeout)
    except ValueError as error:
        raise ConfigError(f"--data-timeout: {error}") from None
    if not seconds:
        raise ConfigError("--data-timeout must be more than nothing")
    return seconds


def forecast_lines(told: "ForecastJob") -> Iterator[str]:
    """Yield the forecast of one job for people."""
    if told.forecast is not None:
        yield from (f"    data: {line}" for line in _lines(told.forecast))
    if told.unknown is not None:
        yield f"    data: not known: {told.unknown}"
    fails = told.fails or (told.forecast.fails if told.forecast is not None else None)
    if fails is not None:
        yield f"    data: would fail: {fails}"


def _lines(forecast: "Forecast") -> Iterator[str]:
    for file in forecast.files[:_MOST_FILES]:
        yield _file_line(file)
    if len(forecast.files) > _MOST_FILES:
        yield f"and {number_of(len(forecast.files) - _MOST_FILES, 'file')} more"
    if forecast.read is not None:
        yield f"{number_of(forecast.read, 'row')} to read"
    for table in forecast.tables:
        yield _table_line(table)
        yield from (f"{table.table}: adds the column {one}" for one in table.add_columns)
        yield from (f"{table.table}: {one}" for one in table.changes)
    yield from forecast.notes


def _file_line(file: "FileForecast") -> str:
    size = "" if file.size_bytes is None else f" ({file.size_bytes:,} bytes)"
    if file.skipped is not None:
        return f"does not read {file.name}{size}: it {file.skipped}"
    return f"reads {file.name}{size}"


def _table_line(table: "TableForecast") -> str:
    numbers = {
        "insert": table.insert,
        "update": table.update,
        "delete": table.delete,
        "restore": table.restore,
    }
    told = ", ".join(f"{count:,} to {what}" for what, count in numbers.items() if count is not None)
    created = "is created; " if table.creates else ""
    return f"{table.table}: {created}{told}"
