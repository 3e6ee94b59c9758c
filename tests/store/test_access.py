"""Tokens, sessions and the audit trail: who is known for how long, and what is kept of deeds."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.engine.access import audit
from headrace.engine.access.audit import Outcomes, audited, begin, delete_expired, end, user_name
from headrace.engine.access.page_sessions import Sessions
from headrace.engine.access.tokens import caller_of_token, create_token, revoke_token
from headrace.errors import ConfigError, NameInUse, StoreUnavailable
from headrace.model.caller import Caller, Deed, Role, Via
from headrace.model.ids import first_id_of, new_id
from headrace.store.database import Database
from tests.support.rows import Rows

FIXED = Caller("HEADRACE_API_TOKEN", Role.ADMIN, Via.TOKEN)


@pytest.fixture
def sessions(rows: Rows) -> Sessions:
    return Sessions(rows.database, fixed=FIXED, token="the-admin-s")


def caller(rows: Rows, name: str = "vera", role: Role = Role.VIEWER) -> Caller:
    found = caller_of_token(rows.database, create_token(rows.database, name, role)["token"])
    assert found is not None
    return found


# -- tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HEADRACE_API_TOKEN", "x" * 64, "", "-a", "a b", "a/b"])
def test_a_name_that_is_no_token_s_is_refused(rows: Rows, name: str):
    with pytest.raises(ConfigError, match="cannot be the name of a token: it takes up to 63"):
        create_token(rows.database, name, Role.VIEWER)

    assert rows.database.rows("tokens") == []


def test_tokens_that_are_used_come_first_by_name_and_then_those_that_were_revoked_last(rows: Rows):
    for name in ("b", "x" * 63, "a", "late", "early", "A.b_c@d-1"):
        create_token(rows.database, name, Role.VIEWER)
    for name in ("early", "late"):
        revoke_token(rows.database, name)
    with pytest.raises(NameInUse, match='a token "a" exists; choose another name, or `headrace t'):
        create_token(rows.database, "a", Role.ADMIN)

    listed = rows.database.rows("tokens")

    expected = ["A.b_c@d-1", "a", "b", "x" * 63]
    assert sorted(row["name"] for row in listed[:4]) == sorted(expected)
    assert [row["name"] for row in listed[4:]] == ["late", "early"]
    assert all((row["revoked_at"] is None) == (row["name"] in expected) for row in listed)


def test_the_use_of_a_token_is_written_down_once_a_minute(rows: Rows):
    token = create_token(rows.database, "vera", Role.VIEWER)["token"]

    def used(ago: str) -> datetime:
        rows.sql(
            "UPDATE headrace.token SET last_used_at = clock_timestamp() - %(ago)s::interval",
            ago=ago,
        )
        assert caller_of_token(rows.database, token) is not None
        at: datetime = rows.sql("SELECT last_used_at FROM headrace.token")[0]["last_used_at"]
        return at

    assert datetime.now(UTC) - used("2 minutes") < timedelta(seconds=30)
    assert datetime.now(UTC) - used("40 seconds") > timedelta(seconds=35)


def test_a_server_that_takes_no_writes_knows_tokens_all_the_same(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    token = create_token(rows.database, "vera", Role.VIEWER)["token"]

    read = Database.rows

    def refuse(database: Database, statement: str, **values: Any) -> Any:
        if statement == "see_token":
            raise StoreUnavailable("it takes no writes")
        return read(database, statement, **values)

    monkeypatch.setattr(Database, "rows", refuse)
    known = caller_of_token(rows.database, token)

    assert known is not None
    assert (known.actor, known.role, known.via) == ("vera", Role.VIEWER, Via.TOKEN)


# -- sessions -------------------------------------------------------------------------


def test_whoever_is_allowed_stays_so_until_the_token_or_the_session_is_over(
    rows: Rows, sessions: Sessions
):
    vera, olga = caller(rows), caller(rows, "olga")
    of_admin = sessions.open(FIXED, 60).caller
    of_vera, ended = (sessions.open(vera, 60).caller for _ in range(2))
    expired = sessions.open(olga, 0).caller
    asked = (FIXED, vera, olga, of_admin, of_vera, ended, expired)

    sessions.end(ended)
    assert [sessions.is_still_allowed(one) for one in asked] == [True] * 5 + [False] * 2
    revoke_token(rows.database, "vera")
    sessions.end(of_admin)
    allowed = [sessions.is_still_allowed(one) for one in asked]

    assert allowed == [True, False, True, False, False, False, False]


def test_a_session_is_whose_token_it_was_opened_with(rows: Rows, sessions: Sessions):
    vera = caller(rows)
    by_token, by_admin = sessions.open(vera, 60), sessions.open(FIXED, 60)
    stored = rows.sql(
        "SELECT token_id IS NULL AS fixed, proof IS NULL AS open FROM headrace.session"
    )

    assert {(row["fixed"], row["open"]) for row in stored} == {(False, True), (True, False)}
    was_one, found = sessions.find(by_token.value)
    assert (was_one, found) == (True, by_token.caller)
    assert found is not None
    assert (found.actor, found.role, found.via) == ("vera", Role.VIEWER, Via.SESSION)
    assert sessions.find(by_admin.value) == (True, by_admin.caller)
    assert by_admin.caller.actor == "HEADRACE_API_TOKEN"
    other = Sessions(rows.database, fixed=FIXED, token="another")
    assert other.find(by_admin.value) == (True, None)
    assert other.find(by_token.value) == (True, found)
    # Of a value of another form no database is asked.
    nowhere = Sessions(None, fixed=FIXED, token="x")  # type: ignore[arg-type]
    assert nowhere.find(by_token.value[:-1]) == (False, None)


# -- the trail ------------------------------------------------------------------------

DEED = Deed("vera", Via.TOKEN, Role.VIEWER, "cancel", "/jobs/1/cancel", "192.0.2.1")


def trail(rows: Rows) -> list[dict[str, Any]]:
    return rows.database.rows("audit", before=None, limit=100)


def test_a_command_s_own_exit_code_stands_in_the_trail(rows: Rows):
    for error in (ConfigError("bad"), RuntimeError("worse"), KeyboardInterrupt()):
        with pytest.raises(type(error)), audited(rows.database, "run", "headrace run"):
            raise error
    with audited(rows.database, "run", "headrace run"):
        pass

    told = [(row["outcome"], row["status"]) for row in trail(rows)]
    assert told == [("done", 0), ("failed", 1), ("failed", 1), ("failed", 2)]


def test_a_long_path_is_cut_where_it_says_so_and_any_argument_can_be_stored(rows: Rows):
    for path in ("x" * 1000, "x" * 1001, "a\udcffb hrt_" + "A" * 43, "1 → 2"):
        begin(rows.database, Deed("me", Via.COMMAND, Role.ADMIN, "run", path, None))

    told = [row["path"] for row in trail(rows)]
    assert told == ["1 -> 2", "a\\udcffb hrt_***", "x" * 999 + "…", "x" * 1000]
    assert [row["concerns"] for row in trail(rows)] == [None] * 4


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])
def test_twenty_ids_are_told_and_how_many_more_there_are(rows: Rows, count: int, more: str):
    ids = [str(new_id()) for _ in range(count)]
    notes = [("run", "A"), *(("job", one) for one in ids), ("run", "B")]

    end(rows.database, begin(rows.database, DEED), done=True, status=201, notes=notes)

    (row,) = trail(rows)
    assert row["concerns"] == f"run A, B; job {', '.join(ids[:20])}{more}"
    assert (row["outcome"], row["status"]) == ("done", 201)


def test_outcomes_that_are_lost_are_named_in_the_log(
    rows: Rows, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    outcomes = Outcomes(rows.database)
    outcomes.write()
    ids = [begin(rows.database, DEED) for _ in range(7)]
    outcomes.note(ids[0], done=False, status=409, notes=[("job", "J")])
    outcomes.write()

    def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("PostgreSQL does not answer")

    monkeypatch.setattr(Database, "rows", away)
    with caplog.at_level(logging.WARNING):
        for few in (ids[1:2], ids[1:6], ids[1:7]):
            for one in few:
                outcomes.note(one, done=True, status=200, notes=[])
            outcomes.write()
        end(rows.database, ids[1], done=True, status=200)

    shown = [", ".join(map(str, few)) for few in (ids[1:2], ids[1:6])]
    lost = "not in the audit trail: PostgreSQL does not answer"
    assert caplog.messages == [
        *(f"the outcomes of {one} are {lost}" for one in (*shown, f"{shown[1]} and 1 more")),
        f"the outcome of {ids[1]} is {lost}",
    ]
    monkeypatch.undo()
    told = {row["id"]: (row["outcome"], row["status"], row["concerns"]) for row in trail(rows)}
    assert told == {ids[0]: ("failed", 409, "job J")} | dict.fromkeys(
        ids[1:], ("begun", None, None)
    )


def test_a_user_whom_the_system_does_not_know_is_called_by_the_number():
    assert user_name(0) == "root"
    assert user_name(54321) == "user id 54321"


def test_the_trail_loses_what_is_older_than_the_retention_in_batches(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(audit, "_BATCH", 2)
    now = datetime.now(UTC).timestamp()
    for age_s in (90, 80, 70, 60, 30, 10):
        rows.sql(
            "INSERT INTO headrace.audit (id, actor, via, action, path)"
            " VALUES (%(id)s, 'a', 'nobody', 'read', %(path)s)",
            id=str(first_id_of(now - age_s)), path=f"/{age_s}",
        )  # fmt: skip
    for name in ("used", "young", "old"):
        create_token(rows.database, name, Role.VIEWER)
    for name, ago in (("young", "40 s"), ("old", "60 s")):
        rows.sql(
            "UPDATE headrace.token SET revoked_at = clock_timestamp() - %(ago)s::interval"
            " WHERE name = %(name)s", ago=ago, name=name,
        )  # fmt: skip

    assert delete_expired(rows.database, 50) == 4

    assert [row["path"] for row in trail(rows)] == ["/10", "/30"]
    assert {row["name"] for row in rows.database.rows("tokens")} == {"used", "young"}
    # A retention that is longer than the time since 1970 keeps everything.
    assert delete_expired(rows.database, 1e11) == 0
    assert len(trail(rows)) == 2


def test_a_session_that_is_over_is_remembered_for_a_day(rows: Rows, sessions: Sessions):
    values = {
        name: sessions.open(FIXED, 60).value for name in ("open", "over", "ended", "gone", "left")
    }
    for name, column, ago in (
        ("over", "ends_at", "23 hours"), ("ended", "ended_at", "23 hours"),
        ("gone", "ends_at", "25 hours"), ("left", "ended_at", "25 hours"),
    ):  # fmt: skip
        rows.sql(
            f"UPDATE headrace.session SET {column} = clock_timestamp() - %(ago)s::interval"
            " WHERE id = %(id)s",
            ago=ago, id=str(id_of(sessions, values[name])),
        )  # fmt: skip

    delete_expired(rows.database, None)

    was_one = {name: sessions.find(value)[0] for name, value in values.items()}
    assert was_one == {"open": True, "over": True, "ended": True, "gone": False, "left": False}


def id_of(sessions: Sessions, value: str) -> Any:
    found = sessions.find(value)[1]
    assert found is not None
    return found.session_id
