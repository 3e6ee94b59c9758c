"""What the OpenAPI document says of each route: its subject, its summary, what success answers."""

from fastapi import APIRouter

from headrace.web import audit, health, jobs, pipelines, runs

# Subject, method and path, status of success, summary.
ROUTES = """
access    GET  /audit                    200 Who did what, newest first
access    GET  /whoami                   200 Who asks, with which role
health    GET  /health/live              200 Whether the process answers
health    GET  /health/ready             200 Whether requests can be served
health    GET  /metrics                  200 Metrics for Prometheus
jobs      GET  /job-status/{job_id}      200 One job
jobs      GET  /jobs                     200 List jobs, newest first
jobs      GET  /jobs/{job_id}            200 One job
jobs      GET  /jobs/{job_id}/attempts   200 A job's attempts
jobs      GET  /jobs/{job_id}/logs       200 A job's log lines
jobs      POST /create-jobs/             201 Dispatch the demonstration set
jobs      POST /jobs                     201 Dispatch a job
jobs      POST /jobs/{job_id}/cancel     200 Cancel a job that has not ended
jobs      POST /jobs/{job_id}/retry      200 Run a failed or cancelled job again
pipelines GET  /pipelines                200 List pipelines, and problems of their files
pipelines GET  /pipelines/{name}         200 One pipeline
pipelines POST /pipelines/{name}/backfill 201 Create the missing runs of a period
pipelines POST /pipelines/{name}/pause   200 Stop its schedule and trigger
pipelines POST /pipelines/{name}/resume  200 Resume its schedule and trigger
pipelines POST /pipelines/{name}/runs    201 Start a run
runs      GET  /runs                     200 List runs, newest first
runs      GET  /runs/{run_id}            200 One run with its jobs
runs      GET  /runs/{run_id}/events     200 Live events of a run (server-sent events)
runs      GET  /runs/{run_id}/jobs       200 The jobs of a run, in the order of their ids
runs      POST /runs/{run_id}/cancel     200 Cancel a run that has not ended
runs      POST /runs/{run_id}/retry      200 Run the failed and cancelled steps again
"""


def test_each_route_is_described_under_its_subject() -> None:
    described = []
    for router in (audit.router, health.router, jobs.router, pipelines.router, runs.router):
        assert isinstance(router, APIRouter)
        for route in router.routes:
            (tag,), (method,) = route.tags, route.methods  # type: ignore[attr-defined]
            words = [tag, method, route.path, str(route.status_code or 200), route.summary]  # type: ignore[attr-defined]
            described.append(" ".join(words))

    assert sorted(described) == sorted(
        " ".join(line.split()) for line in ROUTES.split("\n") if line
    )
