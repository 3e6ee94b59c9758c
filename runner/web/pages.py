"""The web page, the API's documentation, and signing in."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from headrace.web.signed_in import SignedIn
from headrace.web.signin import SIGN_IN_PATH, SIGN_OUT_PATH, sign_in_page

STATIC = Path(__file__).parent / "static"


def add_pages(app: FastAPI, signed_in: SignedIn) -> None:
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
        return await signed_in.begin(request)

    @app.post(SIGN_OUT_PATH, include_in_schema=False)
    async def sign_out(request: Request) -> Response:
        return await signed_in.end(request)


def _swagger_folder() -> Path:
    """Return where the package `fastapi-swagger` keeps Swagger UI; its code is not used."""
    spec = find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "resources"
