"""Who dispatches jobs in this process: set by a worker or a test, or found when needed."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Unpack

from headrace.jobapi.dispatch_options import DispatchOptions


class Dispatcher(Protocol):
    """Makes rows and messages of a job class and its arguments."""

    def dispatch(
        self, job_class: str, payload: Mapping[str, Any], **options: Unpack[DispatchOptions]
    ) -> str:
        """Dispatch a job and return its id."""
        ...

    def dispatch_many(
        self,
        job_class: str,
        payloads: Sequence[Mapping[str, Any]],
        *,
        queue: str | None,
        retry: Any,
        timeout: Any,
    ) -> list[str]:
        """Dispatch a job for each payload and return their ids in that order."""
        ...


_dispatcher: list[Dispatcher] = []


def use_dispatcher(dispatcher: Dispatcher) -> None:
    """Say who dispatches in this process."""
    _dispatcher[:] = [dispatcher]


@contextmanager
def dispatching_by(dispatcher: Dispatcher) -> Iterator[None]:
    """Say who dispatches in the block."""
    before = list(_dispatcher)
    use_dispatcher(dispatcher)
    try:
        yield
    finally:
        _dispatcher[:] = before


def dispatch(job_class: str, payload: Mapping[str, Any], **options: Unpack[DispatchOptions]) -> str:
    """Dispatch a job and return its id."""
    return _known().dispatch(job_class, payload, **options)


def dispatch_many(
    job_class: str,
    payloads: Sequence[Mapping[str, Any]],
    *,
    queue: str | None = None,
    retry: Any = None,
    timeout: Any = None,
) -> list[str]:
    """Dispatch a job for each payload, all or none, and return their ids in that order."""
    return _known().dispatch_many(job_class, payloads, queue=queue, retry=retry, timeout=timeout)


def _known() -> Dispatcher:
    if not _dispatcher:
        from importlib.metadata import entry_points

        # By its entry point: the door knows nothing of the engine behind it.
        found = next(iter(entry_points(group="headrace.parts", name="dispatcher")))
        use_dispatcher(found.load()())
    return _dispatcher[0]
