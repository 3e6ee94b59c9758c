"""Requests made from the OpenAPI document, right and wrong, by each role."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from headrace.engine.access.tokens import create_token
from headrace.engine.application import Headrace
from headrace.model.caller import Role
from tests.support.generated import budget
from tests.support.web import client_of, installation

ADMIN = "the-token-of-the-environment"
ROLES = ["none", "viewer", "operator", "admin"]
_ODD = st.sampled_from(
    ["", " ", "x", "\x00", "\x01", "é", "🙂", "..", "a/b", "%", "'", '"', "\\", "null", "-1", "0",
     "1e9", "NaN", "10000000000000000000000", "plain", "chain", "broken", "queued", "Fibonacci",
     "00000000-0000-7000-8000-000000000000", "{{ params.n }}", "${HOME}", "a" * 300, "b" * 70,
     "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999-23:59", "2026-13-40", "2026-03-29",
     "2026-03-29T02:30:00", "2026-03-29T02:30:00+00:00", "2026-03-29T02:30:00Z", "20260101"]
)  # fmt: skip
_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _ODD | st.text(max_size=20)
    | st.just(10**400) | st.just("\ud800"),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(_ODD, part, max_size=3),
    max_leaves=6,
)  # fmt: skip
_TEXTS = st.one_of(_ODD, st.text(max_size=20))


def values(schema: dict[str, Any], document: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return values of a schema, some of them of another."""
    return st.integers(0, 5).flatmap(lambda n: _ANY if n == 0 else _fitting(schema, document))


def _fitting(schema: dict[str, Any], document: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        named = schema["$ref"].rpartition("/")[2]
        return _fitting(document["components"]["schemas"][named], document)
    if "anyOf" in schema:
        return st.one_of([_fitting(one, document) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "properties" in schema:
        keys = {name: values(one, document) for name, one in schema["properties"].items()}
        needed = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: one for name, one in keys.items() if name in needed},
            optional={name: one for name, one in keys.items() if name not in needed},
        )
    if "items" in schema:
        return st.lists(values(schema["items"], document), max_size=3)
    simple: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70)),
        "number": st.floats(),
        "boolean": st.booleans(),
        "null": st.none(),
        "object": st.dictionaries(st.sampled_from(["n", "sql", "path", "table"]) | _ODD, _ANY),
        "string": st.datetimes().map(str) if schema.get("format") else _TEXTS,
    }
    return simple.get(schema.get("type", ""), _ANY)


class Service:
    """The service, its document, a token of each role, and rows that requests may name."""

    def __init__(self, client: TestClient, headrace: Headrace) -> None:
        self.client = client
        self.document: dict[str, Any] = client.app.openapi()  # type: ignore[attr-defined]
        self.routes = sorted(
            (path, method) for path, all_ in self.document["paths"].items() for method in all_
        )
        self.tokens = {"none": "nobody's", "admin": ADMIN}
        for role in ("viewer", "operator"):
            self.tokens[role] = create_token(headrace.database, role, Role(role))["token"]
        run = self._ask("post", "/pipelines/chain/runs").json()["id"]
        job = self._ask("get", "/jobs?limit=1").json()["items"][0]["id"]
        self.known = {"run_id": [run], "job_id": [job], "name": ["plain", "chain", "broken"]}

    def _ask(self, method: str, url: str) -> Any:
        return self.client.request(method, url, headers={"Authorization": f"Bearer {ADMIN}"})

    def check_lists(self) -> None:
        """Whatever was stored can be read again."""
        for path in ("/jobs", "/runs", "/audit", "/pipelines"):
            answer = self._ask("get", f"{path}?limit=20")
            assert answer.status_code == 200, (path, answer.text)
            answer.json()

    def check(self, method: str, path: str, role: str, answer: Any) -> None:
        """Check an answer against the document."""
        operation = self.document["paths"][path][method]
        status = answer.status_code
        assert status < 500, answer.text
        assert status >= 400 or str(status) in operation["responses"], status
        if role == "none" and operation["x-role"] != "none":
            assert status == 401
        if ROLES.index(role) < ROLES.index(operation["x-role"]):
            assert status in (401, 403)
        else:
            assert status not in (401, 403)
        if status >= 400:
            schema = self.document["components"]["schemas"]["Error"]
            Draft202012Validator(schema).validate(answer.json())
            assert "Traceback" not in answer.text


@pytest.fixture
def service(database: str, redis_url: str, tmp_path: Path) -> Iterator[Service]:
    with (
        installation(database, redis_url, tmp_path, api_token=ADMIN) as headrace,
        client_of(headrace) as client,
    ):
        yield Service(client, headrace)


def body_of(draw: st.DataObject, operation: dict[str, Any], document: dict[str, Any]) -> bytes:
    content = operation["requestBody"]["content"]["application/json"]
    text = json.dumps(draw.draw(values(content["schema"], document), label="body"))
    kind = draw.draw(st.integers(0, 9), label="kind of body")
    if kind == 0:
        cut = draw.draw(st.integers(0, len(text)))
        return text[:cut].encode() + draw.draw(st.binary(max_size=4))
    return text.encode()


@budget(40)
@given(st.data())
def test_no_request_breaks_the_service_and_each_answer_is_as_the_document_says(
    service: Service, data: st.DataObject
) -> None:
    path, method = data.draw(st.sampled_from(service.routes), label="route")
    role = data.draw(st.sampled_from(["admin", "admin", *ROLES]), label="role")
    operation = service.document["paths"][path][method]
    url, query, headers = path, {}, {"Authorization": f"Bearer {service.tokens[role]}"}
    for one in operation.get("parameters", ()):
        name = one["name"]
        if one["in"] == "path":
            # What streams the events of a run goes on as long as the run does.
            known = [] if path.endswith("/events") else service.known[name]
            text = data.draw(st.sampled_from(known * 9) | _TEXTS if known else _TEXTS, label=name)
            url = url.replace(f"{{{name}}}", quote(text or "x", safe=""))
        elif data.draw(st.booleans()):
            value = data.draw(values(one["schema"], service.document), label=name)
            if one["in"] == "query":
                query[name] = str(value).encode(errors="replace")
            else:
                headers[name] = str(value).encode("ascii", "ignore").decode().replace("\n", "")
    content = None
    if "requestBody" in operation and data.draw(st.integers(0, 9)) > 0:
        content = body_of(data, operation, service.document)
        headers["Content-Type"] = "application/json"

    answer = service.client.request(method, url, params=query, headers=headers, content=content)

    service.check_lists()
    # A name with a slash in it is another path.
    if answer.status_code != 404 or "%2F" not in url:
        service.check(method, path, role, answer)
