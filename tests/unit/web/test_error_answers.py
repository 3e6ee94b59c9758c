"""Each error in one form: what is wrong, its code, and what to do; no value, no secret."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from headrace.errors import HeadraceError, NotFound, Problem, ProblemsError, StoreUnavailable
from headrace.observe import redaction
from headrace.web.error_answers import add_failures
from headrace.web.openapi import describe_api
from headrace.web.request_bodies import Body, ExactRoute, NewJob
from headrace.web.roles import needs


class WithHint(HeadraceError):
    hint = "do this"


FAILURES: dict[str, HeadraceError] = {
    "missing": NotFound("there is no job 1"),
    "away": StoreUnavailable("no answer from h with s3cret-word"),
    "hinted": WithHint("bad"),
    "files": ProblemsError([Problem("a.yaml", 3, 1, "unknown-job", "no job", "use B")]),
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    app.router.route_class = ExactRoute
    add_failures(app)

    @app.get("/fail/{how}", openapi_extra=needs(None))
    def fail(how: str) -> None:
        raise FAILURES[how]

    @app.post("/jobs")
    def dispatch(body: NewJob) -> Any:
        return body.model_dump(by_alias=True)

    @app.post("/any")
    def take(body: Body, request: Request) -> None:
        """Take what can be stored."""

    describe_api(app)
    with TestClient(app) as found:
        yield found


def test_an_error_has_its_words_its_code_and_where_there_is_one_its_hint(client: TestClient):
    missing = client.get("/fail/missing")

    assert (missing.status_code, missing.json()) == (
        404,
        {"detail": "there is no job 1", "code": "not-found"},
    )
    assert "Retry-After" not in missing.headers
    assert client.get("/fail/hinted").json() == {
        "detail": "bad",
        "code": "error",
        "hint": "do this",
    }


def test_problems_of_files_are_told_one_by_one(client: TestClient):
    answer = client.get("/fail/files")

    assert answer.status_code == 422
    assert answer.json()["items"] == [
        {
            "file": "a.yaml", "line": 3, "column": 1, "code": "unknown-job", "message": "no job",
            "hint": "use B", "severity": "error",
        }
    ]  # fmt: skip


def test_a_server_that_is_away_is_asked_again_later_and_its_secret_is_hidden(client: TestClient):
    redaction.hide("s3cret-word")
    try:
        answer = client.get("/fail/away")
    finally:
        redaction.forget()

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["detail"] == "no answer from h with ***"


def test_a_method_that_a_path_does_not_take_is_told_with_those_that_it_takes(client: TestClient):
    answer = client.delete("/jobs")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.json() == {"detail": "Method Not Allowed", "code": "method-not-allowed"}


def test_a_request_that_does_not_fit_is_told_by_its_places_without_its_values(client: TestClient):
    answer = client.post("/jobs", json={"job": "", "with": "s3cret", "que": 1})

    told = answer.json()
    assert (answer.status_code, told["code"]) == (422, "invalid-request")
    assert [item["place"] for item in told["items"]] == ["body.job", "body.with", "body.que"]
    assert told["detail"].startswith("body.job: String should have at least 1 character; body.with")
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("key", ["job", "idempotency_key"])
def test_a_name_and_a_key_have_two_hundred_characters_at_most(client: TestClient, key: str):
    body = {"job": "A", key: "x" * 200}

    assert client.post("/jobs", json=body).status_code == 200
    assert client.post("/jobs", json={**body, key: "x" * 201}).status_code == 422
    assert client.post("/jobs", json={**body, key: ""}).status_code == 422


def test_what_a_dispatch_does_not_say_is_left_to_the_job(client: TestClient):
    assert client.post("/jobs", json={"job": "A"}).json() == {
        "job": "A", "with": {}, "queue": None, "depends_on": [], "retry": None, "timeout": None,
        "idempotency_key": None,
    }  # fmt: skip
    assert client.post("/jobs", json={"job": "A", "with_": {}}).status_code == 422


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"n": [value]} if levels % 2 else [value]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("\ud7ff\ue000\uffff", None),
        ("\udfff", "a text has a character that cannot be stored"),
        ({"\udc00": 1}, "a text has a character that cannot be stored"),
        ([["a\0b"]], "a text has a character that cannot be stored"),
        (nested(62), None),
        (nested(64), "nested deeper than 64 levels"),
    ],
)
def test_what_a_jsonb_column_cannot_hold_is_refused_by_its_reason(
    client: TestClient, value: Any, told: str | None
):
    body = json.dumps({"job": "A", "with": {"n": value}})
    answer = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == (200 if told is None else 422)
    assert told is None or told in answer.json()["detail"]


def test_the_document_names_one_form_of_error_and_none_that_is_never_answered(client: TestClient):
    document = client.get("/openapi.json").json()

    schemas = document["components"]["schemas"]
    # Generated clients call their class so.
    assert schemas["Error"]["title"] == "Error"
    assert schemas["Error"]["required"] == ["detail", "code"]
    assert set(schemas["Error"]["properties"]) == {"detail", "code", "hint", "items"}
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    open_one = document["paths"]["/fail/{how}"]["get"]
    assert open_one["security"] == [{}, {"token": []}, {"session": []}]
    assert not {"401", "403", "422"} & set(open_one["responses"])
    dispatch = document["paths"]["/jobs"]["post"]["responses"]
    assert set(dispatch) == {"200", "401", "403", "default"}
    for status in ("401", "403", "default"):
        (content,) = dispatch[status]["content"].values()
        assert content["schema"] == {"$ref": "#/components/schemas/Error"}
    assert document["components"]["securitySchemes"]["session"]["name"] == "headrace_session"
