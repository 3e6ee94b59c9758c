"""Routes about access: who asks, and who did what."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from headrace.model.caller import Caller, Role
from headrace.web.guard import CALLER
from headrace.web.jobs import Cursor, Installed, Limit
from headrace.web.json_rows import Answer, page
from headrace.web.roles import needs

router = APIRouter(tags=["access"], default_response_class=Answer)


@router.get("/audit", summary="Who did what, newest first", openapi_extra=needs(Role.VIEWER))
def list_audit(
    request: Request, headrace: Installed, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """Answer one page of the audit trail: each change, and each refusal.

    `outcome` is `done`, `failed`, `refused`, or `begun` where a crash kept the outcome from being
    written. `concerns` names the runs and jobs that were made or changed, by their ids. Refusals of
    one kind within a minute are one row with their `count`.
    """
    request.app.state.trail.write_outcomes()
    return Answer(
        page(
            lambda before, most: headrace.database.rows("audit", before=before, limit=most),
            cursor,
            limit,
        )
    )


@router.get("/whoami", summary="Who asks, with which role", openapi_extra=needs(Role.VIEWER))
async def whoami(request: Request) -> Response:
    """Answer the caller's name and role, how it was known, and when its session ends."""
    caller: Caller = getattr(request.state, CALLER)
    told = {name: getattr(caller, name) for name in ("actor", "role", "via", "ends_at")}
    return Answer(told)
