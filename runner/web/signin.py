"""Signing in with the API token: for browsers, which cannot send a header by themselves."""

from pathlib import Path

SIGN_IN_PATH = "/sign-in"
SIGN_OUT_PATH = "/sign-out"

_PAGE = Path(__file__).parent / "static" / "signin.html"


def sign_in_page(*, wrong: bool = False) -> bytes:
    """Return the page that asks for the token; it needs no script."""
    notice = "Wrong token." if wrong else ""
    return _PAGE.read_bytes().replace(b"<!-- notice -->", notice.encode())
