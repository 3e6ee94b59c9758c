"""Signing in with the API token: for browsers, which cannot send a header by themselves."""

from pathlib import Path

SIGN_IN_PATH = "/sign-in"
SIGN_OUT_PATH = "/sign-out"

_PAGE = Path(__file__).parent / "static" / "signin.html"


def sign_in_page(*, wrong: bool = False, again: bool = False) -> bytes:
    """Return the page that asks for the token; it needs no script.

    `again` has it ask for its address once more, if there are scripts: see `static/signin.js`.
    """
    page = _PAGE.read_bytes()
    if again:
        page = page.replace(b"<html ", b"<html data-again ", 1)
    return page.replace(b"<!-- notice -->", b"Wrong token." if wrong else b"")
