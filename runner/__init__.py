"""Headrace: pipelines declared in YAML, gated in PostgreSQL, carried by RQ.

What a job file needs: `from headrace import BaseJob, JobFailure, get_db, logger`.
"""

from typing import TYPE_CHECKING, Any

from headrace.model.version import __version__

if __name__ == "runner":  # Found by its folder's name, in a clone.
    from headrace.jobapi import former_names

    former_names.stand_in(__name__)

if TYPE_CHECKING:
    from headrace.errors import InvalidPayload, JobFailure
    from headrace.jobs.base import BaseJob, get_db, logger
    from headrace.template import Preview, RenderedSql, SqlSource

__all__ = [
    "BaseJob",
    "InvalidPayload",
    "JobFailure",
    "Preview",
    "RenderedSql",
    "SqlSource",
    "__version__",
    "get_db",
    "logger",
]


def __getattr__(name: str) -> Any:
    """Return one of the names above, loaded when it is first asked for: it brings SQLAlchemy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from headrace import errors, template
    from headrace.jobs import base

    found = next(vars(one)[name] for one in (base, errors, template) if name in vars(one))
    globals()[name] = found
    return found
