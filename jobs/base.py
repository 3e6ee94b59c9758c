"""The class that every job inherits from, and what its code may use."""

import inspect
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self

from headrace import jobapi
from headrace.errors import InvalidPayload
from headrace.jobapi.payload_call import accepts_any, check_payload, refuse_names, with_payload
from headrace.jobs.sql.packaged import packaged_sql
from headrace.model.forecast import Forecast
from headrace.model.job_parameters import (
    Parameter,
    accept_class_defaults,
    parameters_of,
    written,
)
from headrace.template import Preview, RenderedSql

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

logger = jobapi.logger

_DURATION = re.compile(r"[0-9]+(\.[0-9]+)?[smhd]", re.ASCII)


class BaseJob:
    """One unit of work. Subclass it, take parameters in `__init__`, do the work in `handle`.

    Parameters:
        connection: name of the database to work in, from the config; default the control
            database.
        lock_timeout: how long a statement waits for a lock (duration, as in 10s; 0s: without a
            limit); after that the attempt fails and is retried. Default: the connection's value,
            5s if none is set.
        role: the role to work as (SET ROLE), where the job writes; the connection's role must be
            a member of it. What the step makes belongs to it. Default: the connection's `role`.

    `transactional`: the work commits together with the job's completion, exactly once. A job
    whose statements cannot run in a transaction sets it to False and is at-least-once.
    `any_parameters`: `with` may hold anything; so it is where `handle` takes `**kwargs`.
    `payload`: what was given in `with`.
    `referring`: the parameters in whose texts `${NAME}` names a variable of the worker; what
    was written by the pipeline's author stays a reference until `jobapi.reveal` reads it.
    `result_keys`: the keys that the result can have, where it is a mapping, with the types of
    their values if they are known: templates that speak of another one, or that no value of the
    type can bear, are refused when a pipeline is validated.
    `begins_at_once`: nothing comes before the first statement, neither code of others nor work that
    takes time: the job's transaction may be begun with the message that ends the one before.
    `binds_sql`: `sql` and `sql_path` are templates that see `params`, `run` and `job`, each
    value bound. `paths`: the parameters that name files, each with what refuses a wrong one.
    `in_sql`: the parameters whose texts are parts of SQL, `filter` or (any `query` below `checks`)
    `checks.query`, or any key below `where` (`where.*`): a template's values are written there as
    quoted literals.
    `tables_read`, `tables_written`, `tables_made`: the parameters that name tables the job reads,
    changes or empties, and those that it creates, fills, or gives other columns; a name with a
    dot is a table's own. They lie where `source_connection`, `target_connection` or `connection`
    leads. `headrace validate` and `plan` take them into account; what `sql` does they read.
    `role_where`: the attribute that names the connection on which `role` is taken on.
    `other_databases`: the parameters that may name a connection which is not PostgreSQL's.
    A class method `faults_of(with_)` yields key, message and hint of each argument that is
    refused whatever its type: already when a pipeline is validated.
    """

    transactional: bool = True
    any_parameters: ClassVar[bool] = False
    referring: ClassVar[tuple[str, ...]] = ()
    result_keys: ClassVar[Collection[str] | Mapping[str, type] | None] = None
    begins_at_once: ClassVar[bool] = False
    binds_sql: ClassVar[bool] = False
    in_sql: ClassVar[tuple[str, ...]] = ()
    tables_read: ClassVar[tuple[str, ...]] = ()
    tables_written: ClassVar[tuple[str, ...]] = ()
    tables_made: ClassVar[tuple[str, ...]] = ()
    paths: ClassVar[Mapping[str, Callable[[str], object]]] = {}
    role_where: ClassVar[str] = "connection"
    payload: Mapping[str, Any]
    _role: str | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        handle = cls.__dict__.get("handle")
        if handle is not None and len(inspect.signature(handle).parameters) > 1:
            cls.any_parameters = accepts_any(handle)
            cls.handle = with_payload(handle)  # type: ignore[assignment, method-assign]
        accept_class_defaults(cls)

    def __new__(cls, *_positional: Any, **payload: Any) -> Self:
        job = super().__new__(cls)
        job.payload = payload
        return job

    def __init__(
        self,
        connection: str | None = None,
        lock_timeout: str | None = None,
        role: str | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs and not self.any_parameters:
            refuse_names(type(self), {**self.payload, **kwargs})
            name = next(iter(kwargs))
            raise InvalidPayload(f'{type(self).__name__} passes "{name}" on, which no class takes')
        if lock_timeout is not None and not _DURATION.fullmatch(str(lock_timeout)):
            raise InvalidPayload(f'lock_timeout is a duration, as in 10s, not "{lock_timeout}"')
        self.connection, self.lock_timeout, self._role = connection, lock_timeout, role

    @property
    def works_as(self) -> tuple[str | None, str] | None:
        """The connection on which the job takes on another role, and that role."""
        return None if self._role is None else (getattr(self, self.role_where), self._role)

    def handle(self) -> Any:
        """Do the work; what is returned becomes the job's result and must fit into JSON."""
        raise NotImplementedError(f"{type(self).__name__} has no handle()")

    def preview(self) -> Iterable[Preview]:
        """Return the statements that `handle` would send, in order, without a database.

        `headrace plan` shows them, `headrace validate --explain` has PostgreSQL look at them.
        By default they are those of `sql` or `sql_path` in `with`.
        """
        from headrace.jobs.statements.previews import of_own_sql

        return of_own_sql(self.payload)

    def forecast(self) -> Forecast | None:
        """Return what `handle` would change if it ran now; None where only the run knows.

        `headrace plan --data` asks for it; its sessions are rolled back.

        Raises:
            JobFailure: the job would fail, and why.
        """
        return None

    def rehearse(self) -> None:
        """Do what `handle` does before it needs a database, and raise what it would raise.

        `headrace validate` and `headrace plan` call it where all arguments are known. By default
        `paths` are looked up, and the statements of `preview` are put together.
        """
        for name, look_up in self.paths.items():
            path = self.payload.get(name, getattr(self, name, None))
            if isinstance(path, str):
                look_up(path)
        for _statement in self.preview():
            pass

    def refuse_statements(self, statements: Sequence[RenderedSql]) -> None:
        """Refuse statements of `sql` that the job cannot run, whatever their values.

        Raises:
            RefusedSql: saying why. None of them is given where they are not known.
        """

    @classmethod
    def dispatch(
        cls,
        *,
        queue: str | None = None,
        depends_on: str | Sequence[str] | None = None,
        retry: Any = None,
        timeout: float | str | timedelta | None = None,
        session: "Session | None" = None,
        idempotency_key: str | None = None,
        **with_: Any,
    ) -> str:
        """Queue one job of this class and return its id at once.

        `with_` are the parameters of `__init__`. `depends_on` are ids of jobs that must complete
        first, `timeout` is in seconds, or a text such as 5m. With `session` the job exists if and
        only if that session's transaction commits; a second dispatch with the same
        `idempotency_key` returns the first one's id.
        """
        payload = {name: written(value) for name, value in with_.items()}
        check_payload(cls, payload)
        return jobapi.dispatch(
            class_name(cls),
            payload,
            queue=queue,
            depends_on=depends_on,
            retry=retry,
            timeout=_plain(timeout),
            session=session,
            idempotency_key=idempotency_key,
        )

    @classmethod
    def dispatch_many(
        cls,
        each: Iterable[Mapping[str, Any]],
        *,
        queue: str | None = None,
        retry: Any = None,
        timeout: float | str | timedelta | None = None,
    ) -> list[str]:
        """Queue a job for each mapping of parameters, all or none; return the ids in that order."""
        payloads = [{name: written(value) for name, value in one.items()} for one in each]
        for payload in payloads:
            check_payload(cls, payload)
        name = class_name(cls)
        return jobapi.dispatch_many(
            name, payloads, queue=queue, retry=retry, timeout=_plain(timeout)
        )

    @classmethod
    def init_parameters(cls) -> Mapping[str, Parameter]:
        """Return the parameters that `with` may hold, those of the parent classes included."""
        return parameters_of(cls)

    def kind_of(self, connection: str | None) -> jobapi.Kind:
        """Return the kind of database that a connection leads to: `postgresql`, or another."""
        return "postgresql" if connection is None else jobapi.current().kind_of(connection)

    def session(
        self, connection: str | None = None, *, read_only: bool = False
    ) -> "AbstractContextManager[Session]":
        """Give a session whose work commits with the job's completion."""
        return jobapi.current().session(connection or self.connection, read_only=read_only)

    @contextmanager
    def autocommit(
        self, connection: str | None = None, *, patient: bool = False
    ) -> Iterator["Connection"]:
        """Give a connection on which each statement commits by itself, for VACUUM and the like.

        `patient`: see `jobapi.Attempt`.
        """
        name = connection or self.connection
        with jobapi.current().autocommit(name, patient=patient) as opened:
            yield opened

    @contextmanager
    def aside(self, connection: str | None = None) -> Iterator["Session"]:
        """Give a session whose work is committed even if the job fails; see `jobapi.Attempt`."""
        with jobapi.current().aside(connection or self.connection) as session:
            yield session

    @contextmanager
    def batch(self, label: str, connection: str | None = None) -> Iterator["Session | None"]:
        """Give a session for a part of the work, committed by itself; see `jobapi.Attempt`."""
        with jobapi.current().batch(label, connection or self.connection) as session:
            yield session

    def progress(self, done: int, total: int | None = None, unit: str = "rows") -> None:
        """Show people how much is done, of how much if that is known; it costs no statement."""
        jobapi.meter().show(done, total, unit)

    @contextmanager
    def snapshot(
        self, connection: str | None = None, exported: str | None = None
    ) -> Iterator["Session"]:
        """Give a session that reads all in one snapshot; see `jobapi.Attempt`."""
        with jobapi.current().snapshot(connection or self.connection, exported) as session:
            yield session

    @classmethod
    def source_of_file(cls, sql_path: str) -> Any:
        """Return the text of an SQL file and its path, found as `handle` finds it.

        Raises:
            JobFailure: there is none.
        """
        from headrace.jobs.statements.user_sql import load_source

        return load_source(None, sql_path)

    def sql(self, template: str, /, **values: Any) -> RenderedSql:
        """Render `jobs/sql/<template>.sql.j2`."""
        return packaged_sql(template, **values)


def get_db(connection: str | None = None) -> "AbstractContextManager[Session]":
    """Give a session of the job that is being executed; its work commits with the job."""
    return jobapi.current().session(connection)


def _plain(timeout: float | str | timedelta | None) -> float | str | None:
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def class_name(cls: type[BaseJob]) -> str:
    """Return the name by which the registry finds the class: short for jobs/, else dotted."""
    if cls.__module__.startswith(f"{__package__}."):
        return cls.__name__
    return f"{cls.__module__}.{cls.__qualname__}"
