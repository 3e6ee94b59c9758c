"""Finds the further relations that a plan's statements affect, by asking the database."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.sql_preview import PreviewedJob
from headrace.template import Preview

if TYPE_CHECKING:
    from headrace.engine.explain.explain import Explaining

_UNKNOWN = "what its database knows of, which does not answer now"


def with_touched(
    previews: Iterable[PreviewedJob],
    settings: Settings,
    registry: Registry,
    control_url: Callable[[], str],
) -> Iterator[PreviewedJob]:
    """Yield the same with the notes completed of statements that touch other tables, too.

    Only for those a database is asked, read-only. One that does not answer is no error.
    """
    explaining: Explaining | None = None
    try:
        for one in previews:
            if all(statement.touches is None for statement in one.statements):
                yield one
                continue
            explaining = explaining or _explaining(settings, registry, control_url)
            statements = tuple(_noted(statement, explaining) for statement in one.statements)
            yield replace(one, statements=statements)
    finally:
        if explaining is not None:
            explaining.close()


def _explaining(
    settings: Settings, registry: Registry, control_url: Callable[[], str]
) -> "Explaining":
    # Imported here: most plans ask no database and need no driver.
    from headrace.engine.explain.explain import Explaining

    return Explaining(settings, registry, control_url)


def _noted(one: Preview, explaining: "Explaining") -> Preview:
    from headrace.store.explain import Fault

    if one.touches is None:
        return one
    explainer = explaining.explainer(one.connection)
    found = None if explainer is None else explainer.rows(*one.touches.pieces())
    if found is None or isinstance(found, Fault):
        told = f"{one.touching} {_UNKNOWN}"
    elif found:
        told = f"{one.touching} {', '.join(str(row[0]) for row in found)}"
    else:
        return one
    return replace(one, note=f"{one.note}; {told}" if one.note else told)
