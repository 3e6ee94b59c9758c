"""What an id names, or the beginning of one: a run or a job."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.cli.printing import clock
from headrace.errors import AmbiguousId, NotFound, UnknownPipeline
from headrace.errors.suggestions import did_you_mean

if TYPE_CHECKING:
    from headrace.engine.application import Headrace
    from headrace.store.database import Row

# With fewer characters any number of rows would match; and nobody means one by them.
_SHORTEST = 4
MAY_BE_CUT = f"an id may be cut to its first characters, {_SHORTEST} at least"
_DIGITS = 32
_BEGINNING = re.compile(r"[0-9a-f-]+")
# What an error lists.
_MOST_LISTED = 8


def find(headrace: "Headrace", text: str, *, run_first: bool = False) -> tuple[str, dict[str, Any]]:
    """Return what an id names: `run` or `job` with its row; `pipeline` for the name of one.

    An id may be cut to a beginning that no other id of a run or job has. With `run_first`, one
    that only a run and its own jobs have means the run.

    Raises:
        NotFound: Nothing has this id or name.
        AmbiguousId: Several ids begin like this.
    """
    wanted = id_of(text)
    if wanted is None:
        if text in headrace.pipelines.by_name:
            return "pipeline", {}
        wanted = _by_beginning(headrace, text, run_first=run_first)
    for kind in ("run", "job"):
        row = headrace.database.row(kind, id=wanted)
        if row is not None:
            return kind, row
    raise NotFound(f"there is no run or job {text}")


def id_of(text: str) -> UUID | None:
    """Return a whole id; None where the text is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def newest_run(headrace: "Headrace", pipeline: str | None) -> "Row":
    """Return the newest run, of a pipeline where one is named.

    Raises:
        NotFound: There is none yet.
        UnknownPipeline: There is no such pipeline, and no run of it.
    """
    from headrace.store import listings

    for listed in listings.list_runs(headrace.database, limit=1, pipeline=pipeline):
        row = headrace.database.row("run", id=listed["id"])
        if row is not None:
            return row
    if pipeline is None:
        raise NotFound("there is no run yet; `headrace run PIPELINE` starts one")
    known = headrace.pipelines.by_name
    if pipeline not in known:
        hint = did_you_mean(pipeline, known)
        raise UnknownPipeline(f'there is no pipeline "{pipeline}" and no run of it; {hint}')
    raise NotFound(f"{pipeline} has no run yet; `headrace run {pipeline}` starts one")


def _by_beginning(headrace: "Headrace", text: str, *, run_first: bool) -> UUID:
    ends = bounds(text)
    if ends is None:
        raise NotFound(
            f'"{text}" is neither an id nor a pipeline; `headrace runs` and `headrace jobs` list'
            f" ids; {MAY_BE_CUT}"
        )
    first, last = ends
    found = headrace.database.rows(
        "rows_by_beginning", first=first, last=last, limit=_MOST_LISTED + 1
    )
    if not found:
        raise NotFound(f"no id of a run or job begins with {text}")
    if len(found) == 1:
        return _id(found[0])
    if run_first:
        own = headrace.database.row("run_with_own_jobs", first=first, last=last)
        if own is not None:
            return _id(own)
    raise AmbiguousId(_ambiguous(text, found))


def _id(row: "Row") -> UUID:
    found: UUID = row["id"]
    return found


def bounds(text: str) -> tuple[UUID, UUID] | None:
    """Return the least and the greatest id that begin with a text; None where none can."""
    text = text.lower()
    digits = text.replace("-", "")
    if not _BEGINNING.fullmatch(text) or not _SHORTEST <= len(digits) <= _DIGITS:
        return None
    first, last = (UUID(digits.ljust(_DIGITS, fill)) for fill in "0f")
    # Hyphens where an id has them, or none at all.
    return (first, last) if text in (digits, str(first)[: len(text)]) else None


def _ambiguous(text: str, found: "Sequence[Row]") -> str:
    listed = [
        f"  {row['kind']} {row['id']} {row['name']}, {row['status']}, {clock(row['created_at'])}"
        for row in found[:_MOST_LISTED]
    ]
    more = ["  and others"] if len(found) > _MOST_LISTED else []
    told = "\n".join([*listed, *more])
    return f"several ids begin with {text}; give more of the one that you mean:\n{told}"
