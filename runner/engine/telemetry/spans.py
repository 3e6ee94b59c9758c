"""Traces by OpenTelemetry: a run, its steps' jobs, their attempts."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

from headrace.engine.telemetry.ended_runs import EndedJob, EndedRun, attributes
from headrace.errors import TelemetryRefused
from headrace.model.version import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

_TIMEOUT_S = 10.0
_AT_ONCE = 512
_PATH = "/v1/traces"
_RUN = {
    "id": "headrace.run.id", "pipeline": "headrace.pipeline", "status": "headrace.status",
    "trigger": "headrace.trigger", "logical_date": "headrace.logical_date",
}  # fmt: skip
_JOB = {
    "id": "headrace.job.id", "job_class": "headrace.job.class", "step": "headrace.step",
    "queue": "headrace.queue", "status": "headrace.status", "skip_reason": "headrace.skip_reason",
}  # fmt: skip
_ATTEMPT = {
    "attempt": "headrace.attempt", "worker": "headrace.worker", "outcome": "headrace.outcome",
}  # fmt: skip
_FAILED = frozenset({"failed", "timed_out", "crashed"})


class Traces:
    """Sends traces by OTLP over HTTP. A run's id is its trace's; repeated, spans keep their ids."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        """Raises ModuleNotFoundError if the libraries are not installed."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        # What it has to say of a receiver that is away is said once, by the daemon.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        endpoint = options["endpoint"]
        if urlsplit(endpoint).path in ("", "/"):
            endpoint = endpoint.rstrip("/") + _PATH
        self._exporter = OTLPSpanExporter(
            endpoint, headers=dict(options.get("headers") or {}), timeout=_TIMEOUT_S
        )
        name = options.get("service_name") or "headrace"
        self._resource = Resource.create({"service.name": name, "service.version": __version__})
        self._scope = InstrumentationScope("headrace", __version__)

    def export(self, runs: Sequence[EndedRun]) -> None:
        """Send the spans of these runs.

        Raises:
            TelemetryRefused: Not all of them were taken.
        """
        from opentelemetry.sdk.trace.export import SpanExportResult

        spans = [span for run in runs for span in self._of_run(run)]
        for start in range(0, len(spans), _AT_ONCE):
            result = self._exporter.export(spans[start : start + _AT_ONCE])
            if result is not SpanExportResult.SUCCESS:
                raise TelemetryRefused("the OTLP receiver did not take the spans")

    def _of_run(self, run: EndedRun) -> Iterator["ReadableSpan"]:
        row = run.row
        # A run that is retried ends again, and has a second span.
        context = _context(row["id"], row["id"], row["finished_at"])
        begin = row["started_at"] or row["created_at"]
        parents = [_context(row["parent_run"], row["parent_job"])] if row["parent_run"] else []
        yield self._span(
            row["pipeline"], context, None, (begin, row["finished_at"]), attributes(row, **_RUN),
            _error(row, row["status"]), linked=parents,
        )  # fmt: skip
        for job in run.jobs:
            yield from self._of_job(job, context)

    def _of_job(self, job: EndedJob, parent: "SpanContext") -> Iterator["ReadableSpan"]:
        row = job.row
        if row["finished_at"] is None:
            return
        context = _context(row["run_id"], row["id"])
        tries = [one for one in job.tries() if one["started_at"] is not None]
        begin = min((one["started_at"] for one in tries), default=row["finished_at"])
        yield self._span(
            row["step"], context, parent, (begin, row["finished_at"]), attributes(row, **_JOB),
            _error(row, row["status"]),
        )  # fmt: skip
        for one in tries:
            yield self._span(
                f"attempt {one['attempt']}", _context(row["run_id"], row["id"], one["attempt"]),
                context, (one["started_at"], one["finished_at"]), attributes(one, **_ATTEMPT),
                _error(one, one["outcome"]),
            )  # fmt: skip

    def _span(
        self,
        name: str,
        context: "SpanContext",
        parent: "SpanContext | None",
        time: tuple[datetime, datetime],
        told: Mapping[str, Any],
        error: str | None,
        *,
        linked: Sequence["SpanContext"] = (),
    ) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import Link, Status, StatusCode

        return ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=told,
            links=[Link(one) for one in linked],
            status=Status(StatusCode.OK) if error is None else Status(StatusCode.ERROR, error),
            start_time=_nanoseconds(time[0]),
            end_time=_nanoseconds(max(time)),
            instrumentation_scope=self._scope,
        )


def _error(row: Mapping[str, Any], end: str) -> str | None:
    """Return what went wrong, None where nothing has."""
    return (row["error"] or end) if end in _FAILED else None


def _context(run: UUID, *of: object) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    digest = hashlib.sha256("/".join(map(str, of)).encode()).digest()
    return SpanContext(
        run.int, int.from_bytes(digest[:8], "big") or 1, False, TraceFlags(TraceFlags.SAMPLED)
    )


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1000
