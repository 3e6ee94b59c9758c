"""Jobs that hand over a text in every way there is, and some that go behind Headrace's back."""

from contextlib import suppress
from typing import Any

import psycopg2.extensions
from sqlalchemy import text

from jobs import BaseJob
from runner import jobapi


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
        sql = self.sql_text
        with self.session() as session:
            raw: Any = session.connection().connection
            if self.way == "text":
                session.execute(text(sql.replace(":", "\\:")))
            elif self.way == "driver":
                session.connection().exec_driver_sql(sql)
            elif self.way == "cursor":
                raw.cursor().execute(sql)
            elif self.way == "values":
                raw.cursor().execute(sql, (psycopg2.extensions.AsIs("; COMMIT; SELECT 1"),))
            elif self.way == "many":
                raw.cursor().executemany(sql, [(1,), (2,)])
            elif self.way == "copy":
                with open("/dev/null") as nothing:
                    raw.cursor().copy_expert(sql, nothing)
            elif self.way == "named":
                raw.cursor(name="mine").execute(sql)
            elif self.way == "behind":
                # Past every guard: as a text would be that they all misread.
                psycopg2.extensions.cursor(raw.dbapi_connection).execute(sql)
            elif self.way == "commit":
                session.execute(text(sql))
                session.connection().commit()
            elif self.way == "rollback":
                session.execute(text(sql))
                raw.rollback()


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
