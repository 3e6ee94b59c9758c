"""MySQL and MariaDB by PyMySQL."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any
from uuid import UUID

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from headrace.errors import ConfigError, JobFailure, RefusedSql
from headrace.errors.numbers import listed
from headrace.store.others.line import Answer, Line
from headrace.store.others.mysql_types import declared_type
from headrace.template import RenderedSql, first_word, has_word, without_comments

# Names and texts are quoted as PostgreSQL's lexer takes them; what does not fit is an error.
_SQL_MODE = (
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,STRICT_ALL_TABLES,"
    "ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
)
# What the manual lists under "Statements That Cause an Implicit Commit".
_COMMITS = frozenset(
    "ALTER ANALYZE CACHE CHANGE CHECK CREATE DROP FLUSH GRANT INSTALL LOAD LOCK OPTIMIZE RENAME"
    " REPAIR RESET REVOKE START STOP TRUNCATE UNINSTALL UNLOCK XA".split()
)
_TEMPORARY = ("CREATE TEMPORARY TABLE", "DROP TEMPORARY TABLE")
_PLAIN_NAME = re.compile(r"`[\w $.-]*`")
_ARGUMENTS = {"unix_socket": str, "ssl_ca": str, "ssl_cert": str, "ssl_key": str}
_NO_SAVEPOINT = 1305
_LOCK_WAIT, _DEADLOCK, _LOCK_TABLE_FULL, _RECORD_CHANGED = 1205, 1213, 1206, 1020
# InnoDB undoes the whole transaction with these; with a wait for a lock where the server's
# `innodb_rollback_on_timeout` says so.
_UNDOING = frozenset((_DEADLOCK, _LOCK_TABLE_FULL, _RECORD_CHANGED, _LOCK_WAIT))
_CONNECTION_LOST = frozenset((2006, 2013))
# Statements in which nothing can commit: neither functions nor triggers may.
_NEVER_COMMIT = frozenset("SELECT WITH VALUES TABLE INSERT REPLACE UPDATE DELETE".split())
# More is refused by a strict session.
_LONGEST_WAIT_S = 31536000
_LONGEST_STATEMENT_MS = 2**32 - 1


class MysqlLine(Line):
    """A connection whose session is strict, in UTC, and quotes as PostgreSQL does."""

    kind = "mysql"
    module = "pymysql"
    make_ledger = """
        CREATE TABLE IF NOT EXISTS headrace_ledger (
            job_id CHAR(36) CHARACTER SET ascii PRIMARY KEY,
            attempt INT NOT NULL,
            applied_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
        ) ENGINE = InnoDB"""

    # A statement of the job may have committed: a procedure, say.
    _may_have_committed = False

    def refuse(self, statement: str) -> None:
        """Refuse what commits by itself, and quotes that hide what follows them."""
        rest = _PLAIN_NAME.sub("", statement)
        if "`" in rest or "#" in without_comments(rest):
            raise RefusedSql(
                'in SQL for MySQL write names in double quotes ("order") and comments with --:'
                " a # or a ` like this one is not told apart from text"
            )
        if "/*!" in statement or "/*M!" in statement:
            raise RefusedSql("comments that MySQL executes (/*! … */) are not allowed in a job")
        word = first_word(statement)
        if word == "SET" and has_word(statement, "autocommit"):
            raise RefusedSql("autocommit must not be changed in a job's session")
        if self.alone or word in _NEVER_COMMIT:
            return
        if without_comments(statement).upper().startswith(_TEMPORARY):
            return
        self._may_have_committed = True
        if word not in _COMMITS:
            return
        raise RefusedSql(
            f"{word} commits by itself in MySQL, and what was done before it with"
            " it: give it a step of its own with transaction: false"
        )

    def define(self, sql: RenderedSql) -> None:
        """Run it on a connection of its own: it would commit what the job has done so far."""
        with self._told():
            beside = self._connected(read_only=False)
            try:
                with beside.cursor() as cursor:
                    cursor.execute(sql.display)
            finally:
                beside.close()

    def look_after(self) -> None:
        """Refuse to go on where backslashes begin to mean something."""
        flag = self.driver.constants.SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES
        if not self._raw.server_status & flag:
            raise RefusedSql("sql_mode must not be changed in a job's session")

    def close(self) -> None:
        """Close it; the statement of a job that was stopped ends with it, and lets its locks go."""
        if self.interrupted and self._raw is not None and not self._raw.open:
            with suppress(self.driver.Error):
                self._end_session()
        super().close()

    def passes(self, error: BaseException | None) -> bool:
        """See `Line`."""
        return _number_of(error) in _UNDOING | _CONNECTION_LOST

    def undoes(self, error: Exception) -> bool:
        """See `Line`."""
        if self._may_have_committed or _number_of(error) not in _UNDOING:
            return False
        with suppress(self.driver.Error):
            if self.ended_inside():
                return True
            self._mark = self._marked()
        return False

    def bound(self, value: Any) -> Any:
        """See `Line`."""
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        if isinstance(value, UUID):
            return str(value)
        if isinstance(value, list | tuple):
            raise RefusedSql("MySQL has no lists: write one with | inlist")
        return value

    def ended_inside(self) -> bool:
        """See `Line`."""
        try:
            self._plain(f"RELEASE SAVEPOINT {self._mark}")
        except self.driver.Error as error:
            if _number_of(error) == _NO_SAVEPOINT:
                return True
            raise
        return False

    def _connected(self, *, read_only: bool) -> Any:
        del read_only
        url = _url(self.connection.url, self.name)
        more = {name: _ARGUMENTS[name](value) for name, value in url.query.items()}
        raw = self.driver.connect(
            host=url.host or "localhost",
            port=url.port or 3306,
            user=url.username,
            password=url.password or "",
            database=url.database,
            charset="utf8mb4",
            sql_mode=_SQL_MODE,
            init_command="SET time_zone = '+00:00'",
            connect_timeout=10,
            autocommit=True,
            **more,
        )
        for setting in self._settings(raw.get_server_info()):
            with raw.cursor() as cursor:
                cursor.execute(setting)
        return raw

    def _end_session(self) -> None:
        """End the session at the server, which notices only later that nobody listens."""
        beside = self._connected(read_only=True)
        try:
            with beside.cursor() as cursor:
                cursor.execute(f"KILL {self._raw.thread_id()}")
        finally:
            beside.close()

    def _settings(self, version: str) -> list[str]:
        wait = min(max(1, round(self.wait_s)) if self.wait_s else math.inf, _LONGEST_WAIT_S)
        found = [
            f"SET innodb_lock_wait_timeout = {wait}",
            f"SET lock_wait_timeout = {wait}",
        ]
        limit = self.connection.statement_timeout_s
        if limit and "MariaDB" in version:
            found.append(f"SET max_statement_time = {min(limit, _LONGEST_WAIT_S)}")
        elif limit:
            limit_ms = min(max(1, round(limit * 1000)), _LONGEST_STATEMENT_MS)
            found.append(f"SET max_execution_time = {limit_ms}")
        return found

    def _begin(self, *, read_only: bool) -> None:
        if not read_only:
            # As in PostgreSQL each statement sees what is committed; a snapshot would refuse a
            # table that was made after it.
            self._plain("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        self._plain("START TRANSACTION READ ONLY" if read_only else "START TRANSACTION")

    def _marked(self) -> str:
        mark = f"headrace_{token_hex(8)}"
        self._plain(f"SAVEPOINT {mark}")
        return mark

    def _send(self, texts: Sequence[str], values: list[Any], *, stream: bool) -> Any:
        kind = self.driver.cursors.SSCursor if stream else self.driver.cursors.Cursor
        cursor = self._raw.cursor(kind)
        if values:
            cursor.execute("%s".join(text.replace("%", "%%") for text in texts), values)
        else:
            cursor.execute(texts[0])
        return cursor

    def _answer(self, cursor: Any) -> Answer:
        found = super()._answer(cursor)
        if found.columns is not None:
            # What `description` leaves out: unsigned, binary, enums.
            found.types = [declared_type(field) for field in cursor._result.fields]  # noqa: SLF001
        return found

    def _insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
        marks = ", ".join(["%s"] * len(columns))
        names = ", ".join(columns).replace("%", "%%")
        whole = f"INSERT INTO {table.replace('%', '%%')} ({names}) VALUES "  # noqa: S608 - names are quoted
        values = ", ".join([f"({marks})"] * len(rows))
        with self._raw.cursor() as cursor:
            cursor.execute(whole + values, [value for row in rows for value in row])
            if cursor.warning_count:
                warned = listed([one[2] for one in self._raw.show_warnings()], 3)
                raise JobFailure(f"{self.name} (MySQL): {table} would change a value: {warned}")

    def failure(self, error: Exception) -> str:
        """Leave out the driver's number and brackets."""
        args = error.args
        told = f"{args[1]} ({args[0]})" if len(args) == 2 else str(error)
        if _number_of(error) == _LOCK_WAIT:
            told += "; lock_timeout says how long a job waits for a lock"
        return " ".join(told.split())


def _number_of(error: BaseException | None) -> Any:
    """Return the server's or driver's number of an error."""
    return error.args[0] if error is not None and error.args else None


def _url(written: str, name: str) -> Any:
    try:
        url = make_url(written)
    except (ArgumentError, ValueError):
        raise ConfigError(
            f'the URL of the connection "{name}" cannot be read; {_EXAMPLE}'
        ) from None
    if url.drivername not in ("mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"):
        raise ConfigError(f'the URL of the connection "{name}" wants another driver; {_EXAMPLE}')
    if not url.database:
        raise ConfigError(f'the URL of the connection "{name}" names no database; {_EXAMPLE}')
    unknown = set(url.query) - set(_ARGUMENTS)
    if unknown:
        raise ConfigError(
            f'the URL of the connection "{name}" has a parameter that is none of: '
            + ", ".join(_ARGUMENTS)
        )
    return url


_EXAMPLE = "write mysql+pymysql://user:password@host:3306/database"
