"""A connection to a database that is not PostgreSQL, as an attempt uses it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar
from uuid import UUID

from headrace.errors import (
    ConfigError,
    JobFailure,
    JobStopped,
    OtherDatabaseError,
    RefusedSql,
    TransactionEnded,
)
from headrace.model.connection import DEFAULT_LOCK_TIMEOUT_S, PRODUCTS, Kind, NamedConnection
from headrace.store.attempt_transaction import EffectApplied
from headrace.store.job_connection import Guard
from headrace.template import RenderedSql

LEDGER = "headrace_ledger"
_LOOK = "SELECT 1 FROM headrace_ledger WHERE {}"
_ENTER = "INSERT INTO headrace_ledger (job_id, attempt) VALUES ('{}', {:d})"
_BATCH_ROWS = 1000


@dataclass(slots=True)
class Answer:
    """What a statement has given; `columns` is None where it gives no rows.

    `types` are the columns' types where the driver tells them.
    """

    columns: list[str] | None
    rows: Iterator[tuple[Any, ...]]
    rowcount: int
    types: list[str] | None = None

    @property
    def returns_rows(self) -> bool:
        """Whether it gives rows."""
        return self.columns is not None

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return self.columns or []

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self.rows


class Line(ABC):
    """One connection. `name` is the connection's in config.yaml.

    Names are quoted as PostgreSQL quotes them, and a backslash in a text is a backslash: what
    the lexer of templates takes for code, the server takes for code.
    """

    kind: ClassVar[Kind]
    module: ClassVar[str]
    make_ledger: ClassVar[str]
    # Each statement commits by itself.
    alone = False
    # The transaction is being committed: nothing of the job's can end it any more.
    committing = False
    # The error with which the database has undone the whole transaction: what came behind it
    # would be committed by itself.
    undone: OtherDatabaseError | None = None
    # The job was stopped, perhaps while it waited for an answer.
    interrupted = False

    def __init__(
        self, name: str, connection: NamedConnection, guard: Guard, lock_timeout_s: float | None
    ) -> None:
        self.name, self.connection, self._guard = name, connection, guard
        wait = connection.lock_timeout_s if lock_timeout_s is None else lock_timeout_s
        self.wait_s = DEFAULT_LOCK_TIMEOUT_S if wait is None else wait
        self.driver = _driver(self.module, self.kind, name)
        self.product = PRODUCTS[self.kind]
        self._raw: Any = None
        self._mark: Any = None

    # -- for jobs ---------------------------------------------------------------------

    def run(self, sql: RenderedSql, *, stream: bool = False) -> Answer:
        """Run one statement of a job; with `stream` its rows come in batches.

        Raises:
            RefusedSql: it would end the transaction, or is more than one statement.
            JobFailure: the database refuses it.
        """
        self._guard.check(sql.marked)
        if len(self._guard.split(sql.marked)) > 1:
            raise RefusedSql("one statement is wanted here, not several")
        self.refuse(sql.marked)
        texts, values = sql.pieces()
        with self._told():
            cursor = self._send(texts, [self.bound(value) for value in values], stream=stream)
            answer = self._answer(cursor)
        self.look_after()
        return answer

    def insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
        """Insert rows; table and columns are SQL, the values the driver's own.

        Raises:
            JobFailure: the database refuses one, or would change it.
        """
        with self._told():
            self._insert(table, columns, rows)

    def define(self, sql: RenderedSql) -> None:
        """Run a CREATE TABLE of ours, in the transaction where the database can.

        Raises:
            JobFailure: the database refuses it.
        """
        self.run(sql)

    # -- for the attempt --------------------------------------------------------------

    def open(self, *, read_only: bool) -> None:
        """Connect.

        Raises:
            ConfigError: the URL cannot be used.
            JobFailure: the database does not answer.
        """
        with self._told():
            self._raw = self._connected(read_only=read_only)

    def begin(self, *, read_only: bool) -> None:
        """Begin the attempt's transaction, and mark it."""
        with self._told():
            self._begin(read_only=read_only)
            if not read_only:
                self._mark = self._marked()

    def commit(self, job_id: UUID, attempt: int) -> None:
        """Enter the job in the ledger and commit: its effect is there once.

        Raises:
            TransactionEnded: its SQL has ended the transaction.
            EffectApplied: another attempt has committed there first.
            JobFailure: the database refuses it.
        """
        with self._told():
            if self.ended_inside():
                raise TransactionEnded
            self.committing = True
            try:
                self._plain(_ENTER.format(job_id, attempt))
            except self.driver.IntegrityError:
                raise EffectApplied from None
            # A constraint that is checked now is the job's own.
            self._commit()

    def ready_ledger(self) -> None:
        """Make the ledger where it is missing, in a transaction of its own.

        Raises:
            JobFailure: the user may not; the message says what an administrator runs.
        """
        try:
            with self._told():
                try:
                    self._plain(_LOOK.format("1 = 0"))
                except self.driver.Error:
                    self._plain(self.make_ledger)
        except OtherDatabaseError as error:
            if self.passes(error.orig):
                raise
            raise JobFailure(
                f"{error}; jobs that write there need Headrace's table {LEDGER}: "
                + " ".join(self.make_ledger.split())
            ) from None

    def has(self, job_id: UUID) -> bool:
        """Return whether the ledger has a job."""
        with self._told():
            found = self._plain(_LOOK.format(f"job_id = '{job_id}'")).fetchone()
        return found is not None

    def roll_back(self) -> None:
        """Undo what is open."""
        self._plain("ROLLBACK")

    def close(self) -> None:
        """Close the connection, whatever state it is in."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    # -- of each database -------------------------------------------------------------

    def refuse(self, statement: str) -> None:  # noqa: B027 - most refuse nothing more
        """Refuse what only this database would take for an end of the transaction."""

    def look_after(self) -> None:  # noqa: B027 - most leave nothing to look at
        """Look at what a statement has left in the session."""

    def passes(self, error: BaseException | None) -> bool:
        """Return whether an error says nothing of what the job's user may do: a lock, say."""
        del error
        return False

    def undoes(self, error: Exception) -> bool:
        """Return whether the database has undone the whole transaction with an error."""
        del error
        return False

    @abstractmethod
    def bound(self, value: Any) -> Any:
        """Return a value of a template as the driver takes it."""

    @abstractmethod
    def ended_inside(self) -> bool:
        """Return whether this is another transaction than the marked one by now."""

    @abstractmethod
    def _connected(self, *, read_only: bool) -> Any: ...

    @abstractmethod
    def _begin(self, *, read_only: bool) -> None: ...

    @abstractmethod
    def _marked(self) -> Any: ...

    @abstractmethod
    def _send(self, texts: Sequence[str], values: list[Any], *, stream: bool) -> Any: ...

    @abstractmethod
    def _insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None: ...

    def _commit(self) -> None:
        self._plain("COMMIT")

    def _plain(self, text: str) -> Any:
        """Run a statement of ours, and return the driver's cursor."""
        cursor = self._raw.cursor()
        cursor.execute(text)
        return cursor

    def _answer(self, cursor: Any) -> Answer:
        described = cursor.description
        columns = [column[0] for column in described] if described else None
        return Answer(columns, self._fetched(cursor), cursor.rowcount)

    def _fetched(self, cursor: Any) -> Iterator[tuple[Any, ...]]:
        with self._told():
            while rows := cursor.fetchmany(_BATCH_ROWS):
                yield from rows

    def failure(self, error: Exception) -> str:
        """Return what a driver's error says."""
        return " ".join(str(error).split())

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell a driver's error with the connection's name."""
        if self.undone is not None:
            raise self.undone
        try:
            yield
        except self.driver.Error as error:
            told = OtherDatabaseError(f"{self.name} ({self.product}): {self.failure(error)}", error)
            if self._mark is not None and not self.committing and self.undoes(error):
                self.undone = told
            raise told from None
        except JobStopped:
            self.interrupted = True
            raise


def _driver(module: str, kind: Kind, name: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        raise ConfigError(
            f'the connection "{name}" is {PRODUCTS[kind]}, which needs the library {module}: '
            f"pip install 'headrace[{kind}]'"
        ) from None
