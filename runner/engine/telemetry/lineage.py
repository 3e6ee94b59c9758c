"""Lineage events by OpenLineage: runs and the jobs of their steps, with the tables they use."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.declarations.lint.tables_of_sql import SqlUse, uses_of_sql
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.telemetry.ended_runs import EndedJob, EndedRun
from headrace.errors import TelemetryRefused
from headrace.model.version import __version__

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

_TIMEOUT_S = 10.0
_PRODUCER = f"urn:headrace:{__version__}"
_STATES = {"completed": "COMPLETE", "failed": "FAIL", "cancelled": "ABORT", "skipped": "ABORT"}
_CONNECTIONS = ("connection", "source_connection", "target_connection")


class Lineage:
    """Sends events to an OpenLineage receiver over HTTP."""

    def __init__(
        self, options: Mapping[str, Any], registry: Registry, places: Mapping[str | None, str]
    ) -> None:
        """Take the URL of each connection from `places`; None is the control database.

        Raises:
            ModuleNotFoundError: The library is not installed.
        """
        from openlineage.client.transport.http import (
            ApiKeyTokenProvider,
            HttpConfig,
            HttpTransport,
            TokenProvider,
        )

        key = options.get("api_key")
        auth = ApiKeyTokenProvider({"apiKey": key}) if key else TokenProvider({})
        self._transport = HttpTransport(
            # Tried again by the daemon.
            HttpConfig(url=options["url"], timeout=_TIMEOUT_S, auth=auth, retry={"total": 0})
        )
        self._namespace = options.get("namespace") or "headrace"
        self._registry = registry
        self._places = places

    def export(self, runs: Sequence[EndedRun]) -> None:
        """Send the events of these runs.

        Raises:
            TelemetryRefused: Not all of them were taken.
        """
        from requests import RequestException

        try:
            for run in runs:
                for event in self._of_run(run):
                    self._transport.emit(event)
        except RequestException as error:
            raise TelemetryRefused(
                f"the OpenLineage receiver did not take an event: {type(error).__name__}"
            ) from error

    def _of_run(self, run: EndedRun) -> Iterator["RunEvent"]:
        from openlineage.client.facet_v2 import nominal_time_run

        row = run.row
        begin = row["started_at"] or row["created_at"]
        nominal = nominal_time_run.NominalTimeRunFacet(row["logical_date"].isoformat())
        facets = {"nominalTime": nominal, **_error(row)}
        name = row["pipeline"]
        yield self._event("START", begin, row["id"], name, "PIPELINE", facets)
        for job in run.jobs:
            if job.row["started_at"] is not None and job.row["finished_at"] is not None:
                yield from self._of_job(job, run)
        state = _STATES[row["status"]]
        yield self._event(state, row["finished_at"], row["id"], name, "PIPELINE", facets)

    def _of_job(self, job: EndedJob, run: EndedRun) -> Iterator["RunEvent"]:
        from openlineage.client.facet_v2 import parent_run

        row, pipeline = job.row, run.row["pipeline"]
        above = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=str(run.row["id"])),
            job=parent_run.Job(namespace=self._namespace, name=pipeline),
        )
        facets = {"parent": above, **_error(row)}
        name = f"{pipeline}.{row['step']}"
        begin = min(one["started_at"] or row["started_at"] for one in [*job.tries(), row])
        yield self._event("START", begin, row["id"], name, "STEP", facets, job)
        state = _STATES[row["status"]]
        yield self._event(state, row["finished_at"], row["id"], name, "STEP", facets, job)

    def _event(
        self,
        state: str,
        at: Any,
        run_id: Any,
        name: str,
        kind: str,
        facets: Mapping[str, Any],
        job: EndedJob | None = None,
    ) -> "RunEvent":
        from openlineage.client.event_v2 import (
            InputDataset,
            Job,
            OutputDataset,
            Run,
            RunEvent,
            RunState,
        )
        from openlineage.client.facet_v2 import job_type_job, sql_job

        of_job: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet("BATCH", "HEADRACE", jobType=kind)
        }
        use = {} if job is None else self._tables(job)
        if job is not None and isinstance(sql := job.row["payload"].get("sql"), str):
            of_job["sql"] = sql_job.SQLJobFacet(sql)
        return RunEvent(
            eventTime=at.isoformat(),
            eventType=RunState[state],
            run=Run(str(run_id), facets=dict(facets)),
            job=Job(self._namespace, name, facets=of_job),
            inputs=[InputDataset(*one) for one in sorted(use.get("reads", ()))],
            outputs=[OutputDataset(*one) for one in sorted(use.get("writes", ()))],
            producer=_PRODUCER,
        )

    def _tables(self, job: EndedJob) -> dict[str, set[tuple[str, str]]]:
        """Return the tables that a job reads and writes, as datasets: namespace and name."""
        payload = job.row["payload"]
        found: dict[str, set[tuple[str, str]]] = {"reads": set(), "writes": set()}
        for connection in {payload.get(key) for key in _CONNECTIONS}:
            place = self._places.get(connection)
            if place is None:
                continue
            use = self._registry.tables(job.row["job_class"], payload, connection)
            if connection == payload.get("connection") and isinstance(payload.get("sql"), str):
                use = use.also(uses_of_sql(payload["sql"]))
            _add(found, use, place)
        return found


def _add(found: dict[str, set[tuple[str, str]]], use: SqlUse, place: str) -> None:
    namespace, _, database = place.rpartition("/")
    found["reads"] |= {(namespace, f"{database}.{table}") for table in use.reads}
    found["writes"] |= {(namespace, f"{database}.{table}") for table in use.writes | use.makes}


def _error(row: Mapping[str, Any]) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run

    if row["status"] != "failed" or not row["error"]:
        return {}
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(row["error"], "Python")}
