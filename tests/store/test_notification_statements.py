"""The outbox: what is taken, told and forgotten, beside what is not: the statements alone."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest

from headrace.model.ids import new_id
from tests.support.run_rows import RunRows

STATUSES = ("pending", "sent", "given_up")


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


@pytest.fixture
def leading(made: RunRows) -> RunRows:
    made.rows.database.rows("acquire_lease", holder="one", lease_s=600.0)
    return made


def note(made: RunRows, **columns: Any) -> UUID:
    """Insert a notification that is due, unless told otherwise."""
    usual = {
        "id": str(new_id()), "kind": "failure", "receiver": "pager", "pipeline": "p",
        "content": "{}", "next_try": ago(1), "created_at": ago(5),
    }  # fmt: skip
    values = {**usual, **columns, "id": str(columns.get("id", usual["id"]))}
    names = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    made.rows.sql(f"INSERT INTO headrace.notification ({names}) VALUES ({places})", **values)
    return UUID(values["id"])


def claim(made: RunRows, most: int = 9, busy: tuple[str, ...] = ()) -> set[UUID]:
    found = made.rows.database.rows(
        "claim_notifications", busy=list(busy), most=most, claim_s=60.0, term=1
    )
    return {row["id"] for row in found}


def ids(rows: list[dict[str, Any]]) -> list[UUID]:
    return [row["id"] for row in rows]


def test_of_each_receiver_that_is_not_busy_the_one_is_taken_that_is_due_longest(
    leading: RunRows,
) -> None:
    # Of a pipeline the oldest goes first, whatever is due; of the pipelines the one due longest.
    first = note(leading, pipeline="q", created_at=ago(9), next_try=ago(8))
    note(leading, pipeline="q", created_at=ago(8), next_try=ago(9))
    note(leading, pipeline="p", created_at=ago(10), next_try=ago(7))
    note(leading, pipeline="r", created_at=ago(11), next_try=ago(-1))
    note(leading, pipeline="r", created_at=ago(10), next_try=ago(20))
    taken = note(leading, pipeline="s", next_try=ago(30), taken_until=ago(-1))
    for status in ("sent", "given_up"):
        note(leading, status=status, created_at=ago(60), next_try=ago(60))
    mail = note(leading, receiver="mail", created_at=ago(7), next_try=ago(8.5))
    note(leading, receiver="busy", next_try=ago(60))

    claimed = claim(leading, busy=("busy",))

    assert claimed == {first, mail}
    assert leading.of("notification", first, "tries", "status") == (1, "pending")
    assert leading.of("notification", first, "taken_until") > ago(0)
    assert leading.of("notification", taken, "tries") == 0


def test_no_more_receivers_are_served_at_a_time_than_there_are_threads(leading: RunRows) -> None:
    for name in ("c", "a", "b"):
        note(leading, receiver=name)

    served = [claim(leading, most=2) for _ in range(3)]

    assert [len(one) for one in served] == [2, 1, 0]


def test_of_two_that_arose_at_once_the_one_with_the_lower_id_goes_first(leading: RunRows) -> None:
    times = {"created_at": ago(5), "next_try": ago(1)}
    for pipelines in ("pp", "pq", "qp"):
        high, low = (
            note(leading, id=UUID(int=number), pipeline=pipeline, **times)
            for number, pipeline in zip((2, 1), pipelines, strict=True)
        )
        assert claim(leading) == {low}
        assert leading.of("notification", high, "tries") == 0
        leading.rows.sql("DELETE FROM headrace.notification")


def test_what_ends_or_is_put_off_is_the_one_that_was_tried(leading: RunRows) -> None:
    mine, other = note(leading, tries=2), note(leading, tries=2)
    state = ("status", "tries", "error", "next_try", "taken_until", "ended_at")
    before = leading.of("notification", other, *state)
    postpone = {"id": mine, "wait_s": 600.0, "error": "away"}

    assert leading.rows.database.rows("postpone_notification", tries=1, **postpone) == []
    assert ids(leading.rows.database.rows("postpone_notification", tries=2, **postpone)) == [mine]
    assert leading.of("notification", mine, "error", "taken_until") == ("away", None)
    assert leading.of("notification", mine, "next_try") > ago(-9)
    end = {"id": mine, "tries": 2, "status": "given_up", "error": "gone"}
    assert ids(leading.rows.database.rows("end_notification", **end)) == [mine]
    assert leading.of("notification", mine, "status", "error") == ("given_up", "gone")
    assert leading.of("notification", mine, "ended_at") is not None
    assert leading.rows.database.rows("postpone_notification", tries=2, **postpone) == []
    assert leading.of("notification", other, *state) == before
    # What was given up was not sent.
    assert leading.rows.sql("SELECT * FROM headrace.total WHERE name = 'notices'") == []
    for _ in range(2):
        sent = {**end, "id": note(leading, tries=2), "status": "sent"}
        leading.rows.database.rows("end_notification", **sent)
    counted = leading.rows.sql("SELECT count FROM headrace.total WHERE name = 'notices'")
    assert counted == [{"count": 2}]


def test_only_what_waits_for_the_receiver_that_was_reached_is_hurried(leading: RunRows) -> None:
    begin, ahead, past = ago(0), ago(-60), ago(2)
    mine = note(leading, next_try=ahead)
    kept = {
        note(leading, next_try=ahead, receiver="mail"): ahead,
        note(leading, next_try=ahead, status="given_up"): ahead,
        note(leading, next_try=past): past,
    }

    leading.rows.database.rows("hurry_notifications", receiver="pager")

    assert begin <= leading.of("notification", mine, "next_try") < ahead
    assert {one: leading.of("notification", one, "next_try") for one in kept} == kept


def test_notifications_are_listed_newest_first_by_all_that_may_be_asked(made: RunRows) -> None:
    run, other, now = new_id(), new_id(), datetime.now(UTC)
    listed = []
    for number, kind in enumerate(product(STATUSES, ("a", "b"), ("p", "q"))):
        # Two of each instant, and ids that do not follow the time.
        values: dict[str, Any] = dict(zip(("status", "receiver", "pipeline"), kind, strict=True))
        values |= {"id": UUID(int=1 + number * 7 % 13), "run_id": str(run if number % 3 else other)}
        one = note(made, created_at=now - timedelta(minutes=number // 2), **values)
        listed.append((number // 2, -one.int, one, kind, number % 3))
    listed.sort()

    def found(**asked: Any) -> list[UUID]:
        values = {"status": None, "receiver": None, "pipeline": None, "limit": 50, **asked}
        return ids(made.rows.database.rows("notifications", **values))

    assert found() == [one[2] for one in listed]
    assert found(limit=5) == [one[2] for one in listed[:5]]
    for place, (name, value) in enumerate(
        (("status", "sent"), ("receiver", "b"), ("pipeline", "q"))
    ):
        assert found(**{name: value}) == [one[2] for one in listed if one[3][place] == value]
    assert found(status="sent", receiver="b", pipeline="q") == [
        one[2] for one in listed if one[3] == ("sent", "b", "q")
    ]
    of_run = made.rows.database.rows("notifications_of_run", run_id=run)
    oldest_first = sorted(listed, key=lambda one: (-one[0], one[2].int))
    assert ids(of_run) == [one[2] for one in oldest_first if one[4]]


def test_what_has_ended_is_forgotten_after_its_time_and_what_waits_is_not(made: RunRows) -> None:
    rows = {(status, minutes): note(made, status=status, created_at=ago(minutes))
            for status in STATUSES for minutes in (61, 59)}  # fmt: skip

    made.rows.database.rows("prune_notifications", older_than_s=3600.0)

    left = {row["id"] for row in made.rows.sql("SELECT id FROM headrace.notification")}
    gone = {("sent", 61), ("given_up", 61)}
    assert left == {one for kind, one in rows.items() if kind not in gone}


def test_a_run_that_could_not_be_made_is_told_to_each_receiver_and_counts_as_a_failure(
    made: RunRows,
) -> None:
    made.rows.sql("INSERT INTO headrace.alarm (pipeline, failures) VALUES ('p', 4), ('other', 1)")
    failures = [
        {"pipeline": "p", "receivers": ["a", "b"], "content": {"n": 1}},
        {"pipeline": "q", "receivers": ["a"], "content": {"n": 2}},
        {"pipeline": "q", "receivers": ["a"], "content": {"n": 3}},
    ]

    made.rows.database.rows("add_notifications", failures=json.dumps(failures))

    told = made.rows.sql(
        "SELECT kind, receiver, pipeline, content, run_id, status FROM headrace.notification"
        " ORDER BY pipeline, receiver, content"
    )
    expected = [("a", "p", 1), ("b", "p", 1), ("a", "q", 2), ("a", "q", 3)]
    assert [tuple(row.values()) for row in told] == [
        ("failure", receiver, pipeline, {"n": number}, None, "pending")
        for receiver, pipeline, number in expected
    ]
    alarms = made.rows.sql("SELECT pipeline, failures FROM headrace.alarm")
    assert {row["pipeline"]: row["failures"] for row in alarms} == {"p": 5, "q": 2, "other": 1}


def test_somebody_is_wanted_where_something_is_to_be_sent_or_could_be_late(made: RunRows) -> None:
    def wanted() -> bool:
        (row,) = made.rows.database.rows("notifier_wanted")
        return bool(row["wanted"])

    for status in STATUSES[1:]:
        note(made, status=status)
    made.run()
    for status in ("completed", "failed", "cancelled"):
        made.run(status=status, expected="{}")
    assert not wanted()
    for status in ("queued", "running"):
        run = made.run(status=status, expected="{}")
        assert wanted(), status
        made.rows.sql("DELETE FROM headrace.run WHERE id = %(id)s", id=str(run))
    assert not wanted()
    note(made)
    assert wanted()


def test_a_worker_a_schedule_and_a_daemon_ail_each_by_themselves(leading: RunRows) -> None:
    def ails(term: int = 1) -> list[str]:
        return sorted(
            row["why"] for row in leading.rows.database.rows("ails", lease_s=60.0, term=term)
        )

    def worker(name: str, status: str, seen: datetime) -> None:
        leading.rows.sql(
            "INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes,"
            " status, seen_at) VALUES (%(name)s, 'h', 1, 1, '{}', 1, %(status)s, %(seen)s)",
            name=name, status=status, seen=seen,
        )  # fmt: skip

    for status in ("stopped", "lost"):
        worker(status, status, ago(0))
    for status in ("running", "draining"):
        worker(f"silent {status}", status, ago(2))
    leading.rows.sql(
        "INSERT INTO headrace.schedule (pipeline, seen_until, next_instant, declared, paused)"
        " VALUES ('late', now(), %(past)s, 'x', false), ('held', now(), %(past)s, 'x', true),"
        " ('gone', now(), %(past)s, '', false), ('just', now(), %(just)s, 'x', false)",
        past=ago(2), just=ago(0.5),
    )  # fmt: skip

    late = "the schedule of late is late"
    assert ails() == ["no worker is alive", late]
    for status in ("running", "draining"):
        worker(status, status, ago(0))
        assert ails() == [late]
        leading.rows.sql("DELETE FROM headrace.worker WHERE name = %(name)s", name=status)
    assert ails(term=2) == ["another daemon is active", "no worker is alive", late]
    leading.rows.database.rows("give_up_lease", holder="one")
    assert ails() == ["another daemon is active", "no worker is alive", late]
