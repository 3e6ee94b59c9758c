"""The HTTP service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI

from headrace.engine.application import Headrace
from headrace.model.version import __version__
from headrace.observe.exposition import Metrics
from headrace.store.waiting import give_up_silent_servers, look_no_more
from headrace.web import audit, health, jobs, pipelines, runs
from headrace.web.access import Access
from headrace.web.error_answers import add_failures
from headrace.web.guard import OPEN_PATHS, Guard
from headrace.web.heads import Heads
from headrace.web.openapi import describe_api
from headrace.web.outdated import end_when_outdated
from headrace.web.pages import add_pages
from headrace.web.queries import known_query_only
from headrace.web.roles import Roles
from headrace.web.signed_in import SignedIn
from headrace.web.trail import Trail

# No more requests at once than the pool has connections: the others wait their turn here,
# where waiting costs nothing.
_THREADS = 12
_HEALTH_THREADS = 2
# The modules whose routes are the API; each of them declares its role.
ROUTES = (jobs, pipelines, runs, audit, health)


def create_app(headrace: Headrace) -> FastAPI:
    """Return the service for an installation.

    Raises:
        ConfigError: See `Access`.
    """
    app = FastAPI(
        title="Headrace",
        summary="A declarative ETL runner: YAML pipelines on RQ queues.",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # The functions of a generated client are called as the routes are here.
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.headrace = headrace
    app.state.stopping = False
    # Set by who runs it; see `headrace.web.outdated`.
    app.state.stop = lambda: None
    app.state.outdated = None
    app.state.metrics = Metrics(headrace.database, headrace.sender, headrace.settings.queues)
    # Raises here and now, not at the first request.
    access = Access(headrace.settings, headrace.database)
    app.state.access = access
    app.state.trail = trail = Trail(headrace.database)
    app.add_middleware(
        Guard,
        settings=headrace.settings,
        access=access,
        roles=Roles([module.router for module in ROUTES], OPEN_PATHS),
        trail=trail,
    )
    app.add_middleware(Heads)
    add_failures(app)
    for module in ROUTES:
        app.include_router(module.router, dependencies=[Depends(known_query_only)])
    add_pages(app, SignedIn(access, trail, headrace.settings.session_lifetime_s))
    describe_api(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = _THREADS
    app.state.health_threads = CapacityLimiter(_HEALTH_THREADS)
    give_up_silent_servers(app.state.headrace.database_url)
    async with anyio.create_task_group() as beside:
        beside.start_soon(app.state.trail.keep_writing)
        beside.start_soon(end_when_outdated, app)
        beside.start_soon(app.state.trail.keep_ending)
        yield
        beside.cancel_scope.cancel()
    await app.state.trail.write_rest()
    look_no_more()
    app.state.stopping = True
