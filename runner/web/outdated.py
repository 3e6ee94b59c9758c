"""The service ends when a later Headrace has changed the schema beyond what this version knows."""

import logging

import anyio
from anyio.to_thread import run_sync
from fastapi import FastAPI

from headrace.errors import SchemaMismatch, StoreUnavailable
from headrace.store.schema_watch import SchemaWatch
from headrace.store.waiting import within

log = logging.getLogger("headrace.web")

_LOOK_EVERY_S = 1.0
# A server that is silent does not keep the service from ending.
_WAIT_S = 2.0


async def end_when_outdated(app: FastAPI) -> None:
    """Stop the service, and keep the reason, when the schema does not admit it any more."""
    watch = SchemaWatch(app.state.headrace.database)
    one = anyio.CapacityLimiter(1)
    while True:
        await anyio.sleep(_LOOK_EVERY_S)
        try:
            await run_sync(_look, watch, limiter=one)
        except StoreUnavailable as error:
            log.debug("%s; the schema is looked at again", error)
        except SchemaMismatch as error:
            app.state.outdated = error
            app.state.stop()
            return


def _look(watch: SchemaWatch) -> None:
    with within(_WAIT_S):
        watch.look()
