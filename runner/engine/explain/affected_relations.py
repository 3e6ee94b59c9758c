"""Finds the further relations that a plan's statements affect, by asking the database."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.explain.explain import Explaining
from headrace.engine.explain.sql_preview import PreviewedJob
from headrace.store.explain import Fault
from headrace.template import Preview

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
    explaining = Explaining(settings, registry, control_url)
    try:
        for one in previews:
            statements = tuple(_noted(statement, explaining) for statement in one.statements)
            yield replace(one, statements=statements)
    finally:
        explaining.close()


def _noted(one: Preview, explaining: Explaining) -> Preview:
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
