"""An API with all that HttpExtract knows: a token, pages of five kinds, rows in three formats."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.http import Answered, Asked

_ROWS = [{"id": 1}, {"id": 2}]


def routes() -> Mapping[str, Callable[[Asked], Answered]]:
    """Return what each path answers."""
    return {
        "/token": _token,
        "/guarded": _guarded,
        "/posted": _posted,
        "/lines": lambda _: Answered(
            b'{"id": 1, "at": "2026-01-02", "more": 1}\n{"id": 1, "at": "2026-01-01"}\n'
        ),
        "/orders": lambda _: _json([{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]),
        "/offsets": _offsets,
        "/numbers": _numbers,
        "/cursors": _cursors,
        "/links": _links,
        "/header_links": _header_links,
    }


def _json(document: Any, status: int = 200, **headers: str) -> Answered:
    return Answered(json.dumps(document).encode(), status=status, headers=headers)


def _given(asked: Asked) -> dict[str, list[str]]:
    return parse_qs(urlsplit(asked.path).query)


def _token(asked: Asked) -> Answered:
    form = {name: values[-1] for name, values in parse_qs(asked.body.decode()).items()}
    wanted = {
        "grant_type": "client_credentials",
        "client_id": "headrace",
        "client_secret": "canary-9sTq2Lm",
        "scope": "orders.read",
        "audience": "shop",
    }
    if form != wanted:
        return _json({"error": "invalid_client"}, status=401)
    return _json({"access_token": "t", "token_type": "bearer", "expires_in": 60})


def _guarded(asked: Asked) -> Answered:
    headers = {name.lower(): value for name, value in asked.headers.items()}
    if headers.get("authorization") != "Bearer t" or headers.get("x-team") != "data":
        return _json({}, status=403)
    if _given(asked) != {"kind": ["a", "b"], "open": ["true"], "closed": ["false"]}:
        return _json({}, status=400)
    items = [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]
    return _json({"data": {"items": items}})


def _posted(asked: Asked) -> Answered:
    if asked.method != "POST" or json.loads(asked.body) != {"since": "2026-01-01"}:
        return _json({}, status=400)
    return Answered(b"id;name\n1;NA\n2;x\n")


def _offsets(asked: Asked) -> Answered:
    given = _given(asked)
    start, size = int(given.get("from", ["0"])[0]), int(given["size"][0])
    return _json({"rows": _ROWS[start : start + size], "total": len(_ROWS)})


def _numbers(asked: Asked) -> Answered:
    page = int(_given(asked).get("p", ["1"])[0])
    return _json({"rows": _ROWS[page - 1 : page], "total": len(_ROWS)})


def _cursors(asked: Asked) -> Answered:
    after = _given(asked).get("after")
    return _json({"rows": _ROWS[1:] if after else _ROWS[:1], "meta": {} if after else {"next": 1}})


def _links(asked: Asked) -> Answered:
    second = "page" in _given(asked)
    meta = {} if second else {"next": "/links?page=2"}
    return _json({"rows": _ROWS[1:] if second else _ROWS[:1], "meta": meta})


def _header_links(asked: Asked) -> Answered:
    if "page" in _given(asked):
        return _json([{"id": 2, "at": "2026-02-02T00:00:00Z"}])
    if "since" not in _given(asked):
        return _json({}, status=400)
    link = '</header_links?page=2>; rel="next"'
    return _json([{"id": 1, "at": "2026-02-01T00:00:00Z"}], Link=link)
