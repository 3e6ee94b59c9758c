"""Workers that have loaded other job files than those on disk: printed where a person looks."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.engine.application import Headrace


def outdated(headrace: "Headrace", rows: Iterable[dict[str, Any]]) -> Sequence[str]:
    """Return the names of the workers among `rows` that have loaded other files."""
    from headrace.engine.catalog.job_files import others

    return others(rows, headrace.registry.on_disk())


def print_outdated(names: Iterable[str]) -> None:
    """Print a hint for each of these workers to standard error."""
    from headrace.engine.catalog.job_files import restart_hint

    for name in names:
        print(f"headrace: {restart_hint(name)}", file=sys.stderr)
