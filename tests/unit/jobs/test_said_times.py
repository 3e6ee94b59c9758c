"""Times that a server says: how long it wants to be left alone, and how long a token lives."""

import io
import json
from base64 import b64encode
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import jobapi
from headrace.jobs.http import client_credentials, exchange
from headrace.jobs.http.client_credentials import ClientCredentials
from headrace.jobs.http.exchange import Exchange, Pace
from headrace.jobs.http.request import Answer, NoData, Request

URL = "http://h/x"
DONE = Answer(200, 0, None)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited, none of which goes by."""
    waits: list[float] = []
    clock = SimpleNamespace(sleep=waits.append, monotonic=lambda: 100.0)
    monkeypatch.setattr(exchange, "time", clock)
    permissions = SimpleNamespace(allowed_hosts=["h"])
    monkeypatch.setattr(jobapi, "current", lambda: SimpleNamespace(permissions=permissions))
    return waits


def answered(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Iterator[Any]:
    """Have the requests answered so, one by one; return what is left of them."""
    left = iter(answers)

    def fetch(*_given: object, **_limits: object) -> Answer:
        answer = next(left)
        if isinstance(answer, Answer):
            return answer
        status, retry_after = answer
        raise NoData(f"h answered {status}", status, retry_after)

    monkeypatch.setattr(exchange, "fetch", fetch)
    return left


def test_all_waits_of_an_attempt_together_are_no_longer_than_may_be(monkeypatch, waits, caplog):
    asked = Exchange(Pace(0.0, 300.0), None)
    left = answered(monkeypatch, (429, "0"), (503, "298"), DONE, (429, "1"), DONE, (503, "1"), DONE)

    assert [asked.fetch(Request(URL), io.BytesIO()) for _ in range(2)] == [DONE, DONE]
    assert [one for one in waits if one] == [1.0, 298.0, 1.0]
    assert caplog.messages == [
        f"The server answered {status}: waiting {seconds} s, as it asks"
        for status, seconds in ((429, 1), (503, 298), (429, 1))
    ]
    with pytest.raises(NoData) as refused:
        asked.fetch(Request(URL), io.BytesIO())

    told = "h answered 503 (it asks to wait 1 s, and 0 s are left of max_wait)"
    assert (str(refused.value), refused.value.status) == (told, 503)
    assert refused.value.retry_after == "1"
    assert next(left) is DONE


@pytest.mark.parametrize(
    "answer", [(500, "1"), (429, None), (503, "soon"), (429, "-1"), (401, "1"), (404, None)]
)
def test_who_does_not_say_when_is_not_asked_again(monkeypatch, waits, answer):
    left = answered(monkeypatch, answer, DONE)

    with pytest.raises(NoData) as refused:
        Exchange(Pace(), None).fetch(Request(URL), io.BytesIO())

    assert (str(refused.value), refused.value.status) == (f"h answered {answer[0]}", answer[0])
    assert not any(waits)
    assert next(left) is DONE


@pytest.mark.parametrize(
    ("said", "got"),
    [
        ({"expires_in": 60}, {0.0: "a", 29.75: "a", 30.0: "b"}),
        ({"expires_in": "45.5"}, {0.0: "a", 15.25: "a", 15.5: "b"}),
        ({"expires_in": 29}, {0.0: "a", 0.25: "b", 0.5: "c"}),
        ({"expires_in": -1}, {0.0: "a", 0.25: "b", 0.5: "c"}),
        ({}, {0.0: "a", 3569.75: "a", 3570.0: "b"}),
    ],
)
def test_a_token_is_taken_again_until_shortly_before_it_ends(monkeypatch, said, got):
    clock: Any = SimpleNamespace(now=0.0, monotonic=lambda: clock.now + 100.0)
    tokens = iter("abc")

    def fetch(_request: Request, into: io.BytesIO, **_limits: object) -> Answer:
        into.write(json.dumps({"access_token": next(tokens), **said}).encode())
        return DONE

    monkeypatch.setattr(client_credentials, "time", clock)
    monkeypatch.setattr(client_credentials, "fetch", fetch)
    hidden = list[str]()
    monkeypatch.setattr(jobapi, "hide", hidden.append)
    given = ClientCredentials("http://h/token", "me", "s", {}, in_body=False)
    allowed: Any = None

    for clock.now, token in got.items():
        assert given.token(allowed) == f"Bearer {token}"
    pair = b64encode(b"me:s").decode()
    assert hidden == [text for token in dict.fromkeys(got.values()) for text in (pair, token)]
