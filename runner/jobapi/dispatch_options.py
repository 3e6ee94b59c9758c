"""The options of a dispatch, beside the job's class and its arguments."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class DispatchOptions(TypedDict, total=False):
    """Options of a dispatch; the configuration gives those that are left out.

    `timeout` and the times in `retry` are seconds or durations such as `5m`. `depends_on` are ids
    of jobs that must end first. With `session`, an SQLAlchemy session on the control database, the
    row belongs to the caller's transaction: the job exists if and only if that commits. A second
    dispatch with one `idempotency_key` gives the first one's job.
    """

    queue: str | None
    depends_on: str | Sequence[str] | None
    retry: Any
    timeout: Any
    session: "Session | None"
    idempotency_key: str | None
