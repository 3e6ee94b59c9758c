"""`headrace run` while PostgreSQL is away: it waits, and says so once. And at Ctrl-C."""

import json
import signal
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.cli.run_client import RunClient
from headrace.errors import StoreUnavailable


def test_what_is_asked_beside_a_look_is_waited_for_as_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("headrace.cli.run_client.time.strftime", lambda _form: "T")
    pauses: list[float] = []
    monkeypatch.setattr("headrace.cli.run_client.time.sleep", pauses.append)
    away = StoreUnavailable("away")
    answers: dict[str, list[Any]] = {
        "job": [away, away, {"error": "no table t"}],
        "run": [away, {"id": "R", "status": "failed"}],
        "jobs_of_run": [away, [{"id": "b", "status": "failed"}]],
    }

    def asked(name: str, **_of: str) -> Any:
        found = answers[name].pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    headrace: Any = SimpleNamespace(database=SimpleNamespace(row=asked, rows=asked))
    client = RunClient(headrace, SimpleNamespace(json=False))  # type: ignore[arg-type]
    client._say_error("b")

    told = capsys.readouterr()
    assert (told.out, told.err) == ("T     no table t\n", "away; waiting for it\n")
    client._given.json = True
    client._conclude({})
    told = capsys.readouterr()
    assert json.loads(told.out) == {
        "id": "R", "status": "failed", "jobs": [{"id": "b", "status": "failed"}],
    }  # fmt: skip
    assert (told.err, pauses) == ("", [0.5] * 4)


@pytest.mark.parametrize("lines", [20, 21, 23])
def test_a_long_error_is_cut_and_how_much_more_there_is_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lines: int
):
    monkeypatch.setattr("headrace.cli.run_client.time.strftime", lambda _form: "T")
    error = "\n".join(f"line {number}" for number in range(1, lines + 1))
    database = SimpleNamespace(row=lambda _name, **_of: {"error": error})
    client = RunClient(SimpleNamespace(database=database), SimpleNamespace(json=False))  # type: ignore[arg-type]

    client._say_error("b")

    told = capsys.readouterr().out.splitlines()
    assert told[:20] == [f"T     line {number}" for number in range(1, 21)]
    more = {20: [], 21: ["T     … 1 more line: `headrace show b`"]}
    assert told[20:] == more.get(lines, ["T     … 3 more lines: `headrace show b`"])


@pytest.mark.parametrize("begun", [False, True])
def test_ctrl_c_ends_the_watching_and_says_how_to_end_a_run_that_has_begun(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, begun: bool
):
    def start_run(*_given: Any, **_more: Any) -> dict[str, str]:
        if not begun:
            raise KeyboardInterrupt
        return {"id": "R"}

    def interrupted(_client: RunClient) -> None:
        raise KeyboardInterrupt

    ignored: list[Any] = []
    of_client = "headrace.cli.run_client"
    monkeypatch.setattr(f"{of_client}.signal.signal", lambda *given: ignored.append(given))
    monkeypatch.setattr(f"{of_client}.time.strftime", lambda _form: "T")
    monkeypatch.setattr(f"{of_client}.logical_date_of", lambda *_given: None)
    monkeypatch.setattr(f"{of_client}.clock_of", lambda _pipeline: "UTC")
    monkeypatch.setattr(f"{of_client}.audited", lambda *_given: nullcontext())
    monkeypatch.setattr(RunClient, "_watch", interrupted)
    headrace: Any = SimpleNamespace(
        database=None, start_run=start_run, pipelines=SimpleNamespace(get=lambda _name: None)
    )
    given: Any = SimpleNamespace(json=False, pipeline="p", logical_date=None)

    assert RunClient(headrace, given).run({}) == 130

    told = capsys.readouterr()
    ends = "\nThe run continues on any running worker; `headrace cancel R` ends it.\n"
    assert told.err == (ends if begun else "")
    assert told.out == ("T run R of p started\n" if begun else "")
    assert ignored == [(signal.SIGINT, signal.SIG_IGN)]
