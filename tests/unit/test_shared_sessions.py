"""What sessions share and when it ends: read-only transactions, cursors, the making of a ledger."""

from dataclasses import replace
from typing import Any

import pytest

from headrace.store import ledger, read_only_transactions
from headrace.store.direct_statements import DirectAnswer, _Told
from headrace.store.read_only_transactions import ReadOnlyTransactions
from headrace.store.statements import STATEMENTS


class Opened:
    """A connection, and what was done with it."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def connect(self) -> "Opened":
        return self

    def execution_options(self, **given: Any) -> "Opened":
        assert given == {"postgresql_readonly": True}
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda: self.done.append(name)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Opened]:
    """The connections in the order of their making."""
    monkeypatch.setattr(read_only_transactions, "execute", lambda one, sql: one.done.append(sql))
    return []


def transactions(opened: list[Opened]) -> ReadOnlyTransactions:
    def engine_of(_name: str | None) -> Any:
        opened.append(Opened())
        return opened[-1]

    return ReadOnlyTransactions(engine_of, lambda name: f"settings of {name}")


def test_sessions_of_one_connection_share_a_transaction_that_ends_with_the_last_of_them(
    opened: list[Opened],
) -> None:
    made: Any = transactions(opened)
    begun = ["begin", "settings of dwh"]

    with made.of("dwh") as first:
        with made.of("dwh") as second, made.of(None) as other:
            assert first is second is opened[0]
            assert other is opened[1]
        assert opened[0].done == begun
        assert opened[1].done == ["begin", "settings of None", "rollback", "close"]
    assert opened[0].done == [*begun, "rollback", "close"]

    with made.of("dwh") as later:
        assert later is opened[2]
        made.end_all()
        assert opened[2].done == [*begun, "rollback", "close"]
    assert opened[2].done == [*begun, "rollback", "close"], "it has ended already"


class Cursor:
    rowcount = 0

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("streams", "fails", "closed"),
    [(False, False, True), (False, True, True), (True, False, True), (True, True, False)],
)
def test_a_cursor_is_closed_unless_an_error_has_taken_it_from_the_server(
    streams: bool, fails: bool, closed: bool
) -> None:
    cursor = Cursor()

    def read() -> None:
        with DirectAnswer(cursor, [] if streams else None, _Told("select 1", None)):
            if fails:
                raise ValueError("no such row")

    if fails:
        with pytest.raises(ValueError, match=r"^no such row$"):
            read()
    else:
        read()
    assert cursor.closed is closed


STATE = ledger._State(
    "d", "r", read_only=False, may_make_schema=True, schema=False, owns_schema=False,
    may_make_table=True, ledger=False, may_use=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "owns", "sent"),
    [
        (False, False, ["make_schema", "open_schema", "make_ledger"]),
        (True, True, ["open_schema", "make_ledger"]),
        # What another role owns is not ours to open.
        (True, False, ["make_ledger"]),
    ],
)
def test_of_schema_and_ledger_only_what_is_missing_is_made(
    monkeypatch: pytest.MonkeyPatch, schema: bool, owns: bool, sent: list[str]
) -> None:
    found: list[str] = []
    monkeypatch.setattr(ledger, "_run", lambda _connection, sql: found.append(sql))
    connection: Any = None

    ledger._make(connection, replace(STATE, schema=schema, owns_schema=owns))

    assert found == [STATEMENTS[name].sql for name in sent]


@pytest.mark.parametrize("made_meanwhile", [True, False])
def test_a_ledger_that_another_worker_has_made_meanwhile_is_not_made_again(
    monkeypatch: pytest.MonkeyPatch, made_meanwhile: bool
) -> None:
    whole = replace(STATE, schema=True, ledger=True, may_use=True)
    states = [STATE, whole] if made_meanwhile else [STATE, STATE, whole]
    sent: list[str] = []
    made: list[bool] = []
    monkeypatch.setattr(ledger, "_state", lambda _connection: states.pop(0))
    monkeypatch.setattr(ledger, "_run", lambda _connection, sql: sent.append(sql))
    monkeypatch.setattr(ledger, "_make", lambda *_given: made.append(True))

    assert ledger._made(_Begun()) == (whole, None)  # type: ignore[arg-type]

    assert sent == [f"SELECT pg_advisory_xact_lock({ledger._LOCK})"]
    assert made == [True] * (not made_meanwhile)
    assert states == []


class _Begun:
    def begin(self) -> "_Begun":
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_given: object) -> None:
        pass
