"""When a notification is sent again or given up, when the heartbeat is, and what both say."""

import json
import logging
import threading
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.engine.notifications import forms, heartbeat, outbox
from headrace.engine.notifications.heartbeat import HeartbeatCaller
from headrace.engine.notifications.messages import Message, first_lines, message_of, trial_message
from headrace.engine.notifications.notifier import Notifier
from headrace.engine.notifications.outbox import Outbox
from headrace.engine.notifications.own_words import in_own_words, variables_of
from headrace.errors import QueueUnavailable, StoreUnavailable
from headrace.jobapi.outbound.failures import NotSent
from headrace.model.notifications import Heartbeat, Notifications, Receiver

AT = datetime(2026, 11, 26, 1, 2, 3, tzinfo=UTC)
PAGER = Receiver("pager", "webhook", "http://h/x")


class Tables:
    """Answers statements, and keeps which were sent."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.sent: list[tuple[str, dict[str, Any]]] = []

    def rows(self, statement: str, **values: Any) -> Any:
        self.sent.append((statement, values))
        found = self.answers.get(statement, [])
        if isinstance(found, list) and found and isinstance(found[0], Exception):
            raise found.pop(0)
        return found

    def named(self, statement: str) -> list[dict[str, Any]]:
        return [values for name, values in self.sent if name == statement]


def row(**more: Any) -> dict[str, Any]:
    known = {
        "id": "n1", "kind": "failure", "receiver": "pager", "pipeline": "sales", "run_id": None,
        "step": None, "tries": 1, "age_s": 0.0, "created_at": AT,
        "content": {"trigger": "manual", "logical_date": "x"},
    }  # fmt: skip
    return {**known, **more}


@pytest.fixture
def tables() -> Tables:
    return Tables()


def box(tables: Tables, **settings: Any) -> Outbox:
    given = {"receivers": {"pager": PAGER}, "retry_delay_s": 10.0, "give_up_after_s": 3600.0}
    return Outbox(tables, Notifications(**{**given, **settings}), None)  # type: ignore[arg-type]


def sending(monkeypatch: pytest.MonkeyPatch, *results: Any) -> list[Message]:
    """Have `send` give these results, one after the other; returns what is sent."""
    messages: list[Message] = []
    left = list(results)

    def send(message: Message, *_: Any) -> Any:
        messages.append(message)
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(outbox, "send", send)
    return messages


def carry_out(one: Outbox, **more: Any) -> None:
    one._carry_out(row(**more), time.monotonic())


# -- one send -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tries", "delay_s", "wait_s"),
    [(1, 10.0, 10.0), (2, 10.0, 20.0), (7, 10.0, 640.0), (8, 10.0, 900.0), (99, 10.0, 900.0),
     (1, 3600.0, 3600.0), (5, 3600.0, 3600.0)],
)  # fmt: skip
def test_the_pause_before_another_try_doubles_up_to_a_quarter_of_an_hour(
    tables: Tables, tries: int, delay_s: float, wait_s: float
):
    assert box(tables, retry_delay_s=delay_s)._delay_s(tries) == wait_s


def test_a_try_that_fails_is_made_again_later_and_said_once_while_the_receiver_is_away(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    errors = [
        NotSent("h is away"), NotSent("h is away"), NotSent("refused", is_outage=False),
        NotSent("busy", wait_s=70.0), None, None,
    ]  # fmt: skip
    sending(monkeypatch, *errors)
    one = box(tables)
    with caplog.at_level(logging.INFO):
        for tries in range(1, 5):
            carry_out(one, tries=tries)
        assert not one.woken.is_set()
        carry_out(one, tries=5)
        carry_out(one, tries=1)

    assert [(one["wait_s"], one["error"]) for one in tables.named("postpone_notification")] == [
        (10.0, "h is away"), (20.0, "h is away"), (40.0, "refused"), (80.0, "busy"),
    ]  # fmt: skip
    assert caplog.messages == [
        "pager was not notified: h is away; tried again in 10 s",
        "pager was not notified: refused; tried again in 40 s",
        "pager can be notified again",
    ]
    assert tables.named("hurry_notifications") == [{"receiver": "pager"}]
    ended = tables.named("end_notification")
    assert [(one["tries"], one["status"], one["error"]) for one in ended] == [
        (5, "sent", None), (1, "sent", None),
    ]  # fmt: skip
    # The next one for this receiver need not wait for a tick.
    assert one.woken.is_set()


def test_a_receiver_says_how_long_it_is_to_be_left_alone(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    sending(monkeypatch, NotSent("busy", wait_s=70.0))

    carry_out(box(tables))

    assert tables.named("postpone_notification")[0]["wait_s"] == 70.0


@pytest.mark.parametrize(
    ("age_s", "final", "ends"),
    [(3599.9, False, False), (3600.0, False, True), (0.0, True, True)],
)
def test_a_notification_is_given_up_in_time_or_where_no_further_try_is_wanted(
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    caplog: Any,
    age_s: float,
    final: bool,
    ends: bool,
):
    sending(monkeypatch, NotSent("x" * 1500, is_final=final))

    carry_out(box(tables), age_s=age_s, tries=3)

    statement = "end_notification" if ends else "postpone_notification"
    (told,) = tables.named(statement)
    assert told["error"] == "x" * 999 + "…"
    assert (told.get("status") == "given_up") is ends
    given_up = "gave up the notification n1 (failure of sales) to pager after 3 attempts: xx"
    assert (given_up in caplog.text) is ends


def test_a_receiver_that_is_not_configured_any_more_is_told(tables: Tables):
    carry_out(box(tables, receivers={}))

    (told,) = tables.named("postpone_notification")
    assert told["error"].startswith('there is no receiver "pager" in config.yaml any more')


def test_what_nobody_has_thought_of_is_a_failure_of_this_message_alone(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    sending(monkeypatch, RuntimeError("oh"), RuntimeError("oh"))
    one = box(tables)
    for tries in (1, 2):
        carry_out(one, tries=tries)

    assert [one["error"] for one in tables.named("postpone_notification")] == [
        "RuntimeError: oh"
    ] * 2
    # No outage: both are said.
    assert caplog.text.count("pager was not notified: RuntimeError: oh") == 2


@pytest.mark.parametrize(
    ("error", "level", "told"),
    [
        (StoreUnavailable("away"), logging.DEBUG, "away; the notification n1 may be sent twice"),
        (RuntimeError("oh"), logging.ERROR, "the notification n1 was not sent"),
    ],
)
def test_a_failure_that_cannot_be_recorded_leaves_its_receiver_free_for_the_next_try(
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
    told: str,
):
    sending(monkeypatch, NotSent("h is away"))
    tables.answers["postpone_notification"] = [error]
    one = box(tables)
    one._busy["pager"] = threading.current_thread()

    with caplog.at_level(logging.DEBUG):
        carry_out(one)

    assert (level, told) in [(record.levelno, record.message) for record in caplog.records]
    assert one._busy == {}
    assert not one.woken.is_set()


def test_what_was_partly_refused_is_told_though_it_was_sent(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    sending(monkeypatch, "refused for b@example.com")

    carry_out(box(tables))

    assert "the notification n1 to pager was refused for b@example.com" in caplog.text
    assert tables.named("end_notification")[0]["error"] == "refused for b@example.com"


def test_a_send_that_began_too_late_to_end_within_its_claim_is_left_to_others(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    messages = sending(monkeypatch, None, None)
    now = time.monotonic()
    one = box(tables)
    one._carry_out(row(), now - 31)
    assert messages == []
    one._carry_out(row(), now - 25)
    assert len(messages) == 1
    monkeypatch.setenv("HEADRACE_NOTIFICATION_CLAIM_S", "4")
    short = box(tables)
    short._carry_out(row(), now - 3)
    assert len(messages) == 1


def test_an_end_that_cannot_be_recorded_is_recorded_as_soon_as_it_can(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    messages = sending(monkeypatch, None)
    monkeypatch.setattr(outbox, "_PAUSE_S", 0.0)
    tables.answers["end_notification"] = [StoreUnavailable("away"), StoreUnavailable("away")]

    carry_out(box(tables))

    assert len(messages) == 1
    assert len(tables.named("end_notification")) == 3


def test_sixteen_sends_are_under_way_at_most_and_one_for_each_receiver(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    go = threading.Event()
    monkeypatch.setattr(outbox, "send", lambda *_: go.wait(60) and None)
    one = box(tables)
    tables.answers["claim_notifications"] = [row(receiver="pager")]
    assert one.tick(7) == 1
    assert one.tick(7) == 1
    first, second = tables.named("claim_notifications")
    assert first == {"busy": [], "most": 16, "claim_s": 60.0, "term": 7}
    assert (second["busy"], second["most"]) == (["pager"], 15)
    go.set()
    one.wait(30)
    assert one._busy == {}


# -- messages -------------------------------------------------------------------------


def test_an_error_is_cut_by_its_lines_and_by_its_length():
    assert first_lines("x" * 1000) == "x" * 1000
    assert first_lines("x" * 1001) == "x" * 1000 + " … (1 more characters)"
    twelve = "\n".join(["y"] * 12)
    assert first_lines(twelve) == twelve
    assert first_lines(f"{twelve}\nz") == f"{twelve} … (2 more characters)"


def test_what_a_message_says_is_cut_and_has_what_there_is():
    made = message_of(row(pipeline="p" * 300, content={**row()["content"], "steps": None}), None)
    assert (len(made.subject), made.lines[1]) == (200, "No step of it has failed.")
    unsaid = {"step": "a", "attempt": 1, "of": 1, "error": None}
    content = {**row()["content"], "steps": [unsaid], "failed_steps": 1, "error": "E"}
    assert message_of(row(content=content), None).lines[1:] == (
        "Step a failed, attempt 1 of 1: no error was recorded", "E",
    )  # fmt: skip
    once = {**row()["content"], "failures": 1, "failed_since": "x"}
    recovered = message_of(row(kind="recovery", content=once), None)
    assert recovered.subject == "sales has recovered"
    assert recovered.lines[1] == "It completed; 1 run had failed since x."
    late = {**row()["content"], "limit_s": 60, "rule": "deadline", "since": "x"}
    of_run = message_of(row(kind="late", content=late), None)
    assert of_run.subject == "sales is late"
    assert of_run.lines[1].startswith("The run has not ended; its deadline of 1m passed at x.")
    assert message_of(row(kind="success"), None).lines[1] == "It completed."


def test_a_trial_says_that_it_is_one_and_for_whom():
    made = trial_message("id", "pager", "https://e.com", AT)

    assert (made.kind, made.id, made.link) == ("test", "id", "https://e.com")
    assert made.lines == ('This is a test of the receiver "pager". No run is concerned.',)
    assert json.loads(forms.webhook_body(made)) == {
        "type": "test",
        "timestamp": AT.isoformat(),
        "data": {
            "subject": "Headrace: a notification on trial",
            "text": f"{made.lines[0]}\nhttps://e.com",
            "receiver": "pager",
        },
    }


def test_what_programs_get_says_whether_a_run_or_a_step_is_late():
    late = Message("i", "late", "s", (), None, AT, {"step": "load"})

    assert json.loads(forms.webhook_body(late))["type"] == "step.late"
    of_run = Message("i", "late", "s", (), None, AT, {"step": None})
    assert json.loads(forms.webhook_body(of_run))["type"] == "run.late"
    failed = Message("i", "failure", "s", (), None, AT, {"step": "load"})
    assert json.loads(forms.webhook_body(failed))["type"] == "run.failure"
    assert forms.webhook_body(Message("i", "test", "", (), None, AT, body=b"own")) == b"own"


def test_a_message_without_a_link_has_none_in_any_form():
    made = Message("i", "test", "s", ("l",), None, AT)

    assert made.text == "l"
    assert len(json.loads(forms.slack_body(made))["blocks"]) == 2
    assert "actions" not in json.loads(forms.teams_body(made))["attachments"][0]["content"]


def test_a_receiver_s_own_subject_leaves_the_text_as_it_is():
    made = message_of(row(), "https://e.com")
    own = Receiver("pager", "webhook", "http://h", subject="{{ pipeline }}: {{ kind }}")

    told = in_own_words(made, own)

    assert (told.subject, told.lines, told.text) == ("sales: failure", made.lines, made.text)
    assert in_own_words(made, PAGER) is made
    variables = variables_of(made, "pager")
    assert (variables["receiver"], variables["id"], variables["at"]) == (
        "pager",
        "n1",
        AT.isoformat(),
    )
    assert variables["steps"] == []


# -- the heartbeat --------------------------------------------------------------------


class Pinged:
    def __init__(self) -> None:
        self.away = False

    def ping(self) -> None:
        if self.away:
            raise QueueUnavailable("Redis does not answer")


def test_the_heartbeat_says_why_it_is_not_sent_once_and_when_it_is_again(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    called: list[Any] = []
    results: list[Any] = [NotSent("h answered 500"), None, None, RuntimeError("oh")]

    def call(request: Any, _allowed: Any, seconds: float) -> None:
        called.append((request.method, request.url, seconds))
        result = results.pop(0)
        if result is not None:
            raise result

    monkeypatch.setattr(heartbeat, "call", call)
    redis = Pinged()
    given = Heartbeat("http://h/alive", 60.0)
    one = HeartbeatCaller(given, ("h",), tables, redis)  # type: ignore[arg-type]
    with caplog.at_level(logging.INFO):
        tables.answers["ails"] = [{"why": f"reason {n}"} for n in range(5)]
        one._beat(7)
        one._beat(7)
        tables.answers["ails"] = []
        redis.away = True
        one._beat(7)
        redis.away = False
        for _ in range(4):
            one._beat(7)

    assert tables.named("ails")[0] == {"lease_s": 10.0, "term": 7}
    assert called == [("GET", "http://h/alive", 20.0)] * 4
    assert caplog.messages == [
        "the heartbeat is not sent: reason 0; reason 1; reason 2",
        "the heartbeat was not taken: Redis does not answer",
        "the heartbeat was not taken: h answered 500",
        "the heartbeat is sent again",
        "the heartbeat was not sent",
    ]


def test_the_heartbeat_keeps_to_its_interval_and_is_one_at_a_time(
    tables: Tables, monkeypatch: pytest.MonkeyPatch
):
    now = [100.0]
    monkeypatch.setattr("headrace.engine.notifications.heartbeat.time.monotonic", lambda: now[0])
    beats: list[int] = []
    go = threading.Event()

    def beat(term: int) -> None:
        beats.append(term)
        go.wait(30)

    given = Heartbeat("http://h/alive", 60.0)
    one = HeartbeatCaller(given, ("h",), tables, Pinged())  # type: ignore[arg-type]
    monkeypatch.setattr(one, "_beat", beat)
    one.tick(1)
    now[0] += 120
    one.tick(2)  # The one before has not ended.
    go.set()
    assert one._thread is not None
    one._thread.join(30)
    one.tick(3)
    one._thread.join(30)
    now[0] += 59
    one.tick(4)
    now[0] += 1
    one.tick(5)
    one._thread.join(30)

    assert beats == [1, 3, 5]


# -- the thread -----------------------------------------------------------------------


def test_what_is_late_is_looked_for_once_a_second_while_there_is_anything_to_do(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    now = [100.0]
    monkeypatch.setattr("headrace.engine.notifications.notifier.time.monotonic", lambda: now[0])
    settings: Any = SimpleNamespace(notifications=Notifications(), public_url=None)
    one = Notifier(tables, None, settings, lambda: 1)  # type: ignore[arg-type]
    late = {"id": "R", "pipeline": "p", "step": "", "rule": "deadline", "limit_s": 60.0}
    tables.answers["note_late"] = [late, {**late, "step": "load"}]

    def wanted(found: Any) -> None:
        one.look(SimpleNamespace(row=lambda _name: found))

    one._look(1)
    wanted(None)
    assert not one._outbox.woken.is_set()
    one._look(1)
    assert tables.sent == []
    wanted({"wanted": True})
    assert one._outbox.woken.is_set()
    for step_s in (0.0, 0.9, 0.1):
        now[0] += step_s
        one._look(1)
    wanted({"wanted": False})
    one._look(1)

    assert [name for name, _ in tables.sent] == [
        "note_late", "claim_notifications", "claim_notifications", "note_late",
        "claim_notifications",
    ]  # fmt: skip
    assert caplog.messages[:2] == [
        "run R of p is late: its deadline of 1m has passed",
        "run R of p, step load, is late: its deadline of 1m has passed",
    ]
    one._wanted = True
    one.saw_nothing()
    assert not one._wanted


def test_whatever_keeps_it_from_a_turn_the_notifier_goes_on_with_the_next_one(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("headrace.engine.notifications.notifier._TICK_S", 0.0)
    settings: Any = SimpleNamespace(notifications=Notifications(), public_url=None)
    terms: list[int | None] = [None, 1, 2, 3, 4]
    looked: list[int] = []
    one = Notifier(tables, None, settings, lambda: terms.pop(0))  # type: ignore[arg-type]

    def look(term: int) -> None:
        looked.append(term)
        if term == 1:
            raise StoreUnavailable("away")
        if term == 2:
            raise RuntimeError("oh")
        if term == 4:
            one.stop()

    monkeypatch.setattr(one, "_look", look)
    with caplog.at_level(logging.DEBUG, logger="headrace.daemon"):
        one.start()
        one._thread.join(30)

    assert looked == [1, 2, 3, 4]
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.DEBUG, "away; notifications are sent later"),
        (logging.ERROR, "notifications were not sent; continuing"),
    ]
