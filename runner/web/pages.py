"""The web page, the API's documentation, and signing in."""

from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs

import anyio
from fastapi import FastAPI, Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from headrace.web.access import COOKIE, equal, session_value
from headrace.web.signin import SIGN_IN_PATH, sign_in_page

STATIC = Path(__file__).parent / "static"

# Slows a guesser down, and nobody who mistyped.
_WRONG_TOKEN_PAUSE_S = 1.0


def add_pages(app: FastAPI, token: str) -> None:
    """Add what people look at in a browser."""
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.mount("/swagger", StaticFiles(directory=_swagger_folder()), name="swagger")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return FileResponse(STATIC / "docs.html")

    @app.get(SIGN_IN_PATH, include_in_schema=False)
    async def ask() -> Response:
        return Response(sign_in_page(), media_type="text/html")

    @app.post(SIGN_IN_PATH, include_in_schema=False)
    async def sign_in(request: Request) -> Response:
        return await _sign_in(request, token)


def _swagger_folder() -> Path:
    """Return where the package `fastapi-swagger` keeps Swagger UI; its code is not used."""
    spec = find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "resources"


async def _sign_in(request: Request, token: str) -> Response:
    """Give a browser that knows the token the cookie that stands for it."""
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
    given = form.get("token", [""])[0]
    if not equal(given, token):
        await anyio.sleep(_WRONG_TOKEN_PAUSE_S)
        return Response(sign_in_page(wrong=True), status_code=401, media_type="text/html")
    response = RedirectResponse("/", status_code=303)
    response.set_cookie(
        COOKIE,
        session_value(token),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response
