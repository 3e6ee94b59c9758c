"""Dispatches for jobs that dispatch others; what that takes is loaded at the first one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from headrace.jobapi.dispatch_options import DispatchOptions
from headrace.jobapi.dispatching import Dispatcher


class LateDispatcher:
    """Asks for the real dispatcher when it is first needed: most processes dispatch nothing."""

    def __init__(self, real: Callable[[], Dispatcher]) -> None:
        self._real = real

    def dispatch(
        self, job_class: str, payload: Mapping[str, Any], **options: Unpack[DispatchOptions]
    ) -> str:
        """Dispatch a job and return its id."""
        return self._real().dispatch(job_class, payload, **options)

    def dispatch_many(
        self,
        job_class: str,
        payloads: Sequence[Mapping[str, Any]],
        *,
        queue: str | None,
        retry: Any,
        timeout: Any,
    ) -> list[str]:
        """Dispatch a job for each payload and return their ids."""
        return self._real().dispatch_many(
            job_class, payloads, queue=queue, retry=retry, timeout=timeout
        )
