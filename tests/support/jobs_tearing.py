"""Jobs that hand over a text in every way there is, and some that go behind Headrace's back."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2.extensions
from sqlalchemy import text
from sqlalchemy.orm import Session

from headrace import jobapi
from headrace.jobs import BaseJob


class TextJob(BaseJob):
    """Sends `sql` in one of the `way`s; with `fail` it raises afterwards, with `deaf` never."""

    def __init__(
        self, sql: str, way: str, *, fail: bool = False, deaf: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sql_text, self.way, self.fail, self.deaf = sql, way, fail, deaf

    def handle(self) -> Any:
        if self.deaf:
            with suppress(BaseException):
                self._send()
        else:
            self._send()
        if self.fail:
            raise RuntimeError("after its text")

    def _send(self) -> None:
        with self.session() as session:
            _WAYS[self.way](session, session.connection().connection, self.sql_text)


def _copy(_session: Session, raw: Any, sql: str) -> None:
    with Path(os.devnull).open() as nothing:
        raw.cursor().copy_expert(sql, nothing)


def _commit(session: Session, _raw: Any, sql: str) -> None:
    session.execute(text(sql))
    session.connection().commit()


def _roll_back(session: Session, raw: Any, sql: str) -> None:
    session.execute(text(sql))
    raw.rollback()


_AS_IT_IS = psycopg2.extensions.AsIs("; COMMIT; SELECT 1")
_WAYS: dict[str, Callable[[Session, Any, str], Any]] = {
    "text": lambda session, _, sql: session.execute(text(sql.replace(":", "\\:"))),
    "driver": lambda session, _, sql: session.connection().exec_driver_sql(sql),
    "cursor": lambda _, raw, sql: raw.cursor().execute(sql),
    "values": lambda _, raw, sql: raw.cursor().execute(sql, (_AS_IT_IS,)),
    "many": lambda _, raw, sql: raw.cursor().executemany(sql, [(1,), (2,)]),
    "named": lambda _, raw, sql: raw.cursor(name="mine").execute(sql),
    "copy": _copy,
    "commit": _commit,
    "rollback": _roll_back,
    # Past every guard: as a text would be that they all misread.
    "behind": lambda _, raw, sql: psycopg2.extensions.cursor(raw.dbapi_connection).execute(sql),
}


class ReadOnlyJob(BaseJob):
    """Sends `sql`, one statement after the other, in a session that only reads."""

    def __init__(self, sql: list[str], first: str = "", then: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.statements, self.first, self.then = sql, first, then

    def handle(self) -> Any:
        if self.first:
            with self.session() as session:
                session.execute(text(self.first))
        with self.session(read_only=True) as session:
            for statement in self.statements:
                session.execute(text(statement))
        if self.then:
            with self.session() as session:
                session.execute(text(self.then))


class RecoveringJob(BaseJob):
    """Catches an error in its second session, and works on in a third."""

    def handle(self) -> Any:
        insert = text("INSERT INTO public.torn VALUES (:tag)")
        job = jobapi.current().job_id
        with self.session() as session:
            session.execute(insert, {"tag": f"first {job}"})
        with suppress(Exception), self.session() as session:
            session.execute(insert, {"tag": f"second {job}"})
            session.execute(insert, {"tag": f"first {job}"})
        with self.session() as session:
            session.execute(insert, {"tag": f"third {job}"})
