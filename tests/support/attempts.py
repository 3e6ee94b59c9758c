"""Runs a job as a worker does, in one real transaction, without a queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.orm import Session

from headrace import jobapi
from headrace.errors import JobFailure
from headrace.jobapi.folders import Folders
from headrace.jobs.base import BaseJob
from headrace.store.direct_statements import DirectStatements

PROJECT = Path(__file__).resolve().parents[2]


def engine_for(url: str) -> Engine:
    """Return an engine without a pool, so that the database can be dropped after the test."""
    return create_engine(make_url(url).set(drivername="postgresql+psycopg2"), poolclass=NullPool)


@dataclass
class OneTransaction:
    """Sessions on one connection a database; they commit together, or not at all."""

    engines: dict[str | None, Engine]
    opened: dict[str | None, Connection] = field(default_factory=dict)

    @contextmanager
    def session(
        self,
        connection: str | None = None,
        *,
        read_only: bool = False,  # noqa: ARG002
    ) -> Iterator[Session]:
        if connection not in self.opened:
            self.opened[connection] = self.engines[connection].connect()
            self.opened[connection].begin()
        with Session(self.opened[connection], join_transaction_mode="create_savepoint") as session:
            yield session
            session.commit()

    @contextmanager
    def statements(self, connection: str | None = None) -> Iterator[DirectStatements]:
        with self.session(connection) as session:
            yield DirectStatements(session.connection().connection.dbapi_connection)

    @contextmanager
    def autocommit(
        self,
        connection: str | None = None,
        *,
        patient: bool = False,  # noqa: ARG002
    ) -> Iterator[Connection]:
        if connection in self.opened:
            raise JobFailure("a statement outside transactions cannot run in the job's own one")
        with self.engines[connection].connect() as plain:
            yield plain.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def aside(self, connection: str | None = None) -> Iterator[Session]:
        with self.engines[connection].begin() as beside, Session(beside) as session:
            yield session
            session.commit()

    @contextmanager
    def batch(self, label: str, connection: str | None = None) -> Iterator[Session | None]:  # noqa: ARG002
        with self.aside(connection) as session:
            yield session

    @contextmanager
    def snapshot(
        self, connection: str | None = None, exported: str | None = None
    ) -> Iterator[Session]:
        isolated = self.engines[connection].execution_options(isolation_level="REPEATABLE READ")
        with isolated.begin() as opened:
            if exported is not None:
                opened.execute(text(f"SET TRANSACTION SNAPSHOT '{exported}'"))
            with Session(opened, join_transaction_mode="rollback_only") as session:
                yield session

    def kind_of(self, connection: str | None) -> jobapi.Kind:  # noqa: ARG002
        return "postgresql"

    def other(self, connection: str, *, read_only: bool = False) -> Any:  # noqa: ARG002
        raise AssertionError(f"{connection} is PostgreSQL")

    def other_alone(self, connection: str) -> Any:
        raise AssertionError(f"{connection} is PostgreSQL")

    def end(self, *, commit: bool) -> None:
        for connection in self.opened.values():
            if commit:
                connection.commit()
            connection.close()
        self.opened.clear()


@dataclass
class JobRunner:
    """Runs jobs against the databases named in `engines`; None is the default one.

    `search_path` begins with the pipeline's folder and ends with the pipelines folder; jobs
    write below `exports` in `project`.
    """

    engines: dict[str | None, Engine]
    search_path: tuple[Path, ...] = (PROJECT / "pipelines",)
    project: Path = PROJECT
    permissions: jobapi.Permissions = field(default_factory=jobapi.Permissions)

    def __call__(self, job: type[BaseJob], **with_: Any) -> Any:
        """Return the job's result, its work committed; on an error nothing is."""
        sessions = OneTransaction(self.engines)
        jobapi.enter(
            jobapi.Attempt(
                job_id=str(uuid4()),
                attempt=1,
                project=self.project,
                folders=Folders(
                    self.search_path[0],
                    self.search_path[-1],
                    (self.project / "exports",),
                    sql=(PROJECT / "jobs" / "sql",),
                ),
                sessions=sessions,
                run_id="run-1",
                logical_date=datetime(2026, 1, 31, 12, 30, tzinfo=UTC),
                permissions=self.permissions,
            )
        )
        try:
            result = job(**with_).handle()
        except BaseException:
            sessions.end(commit=False)
            raise
        finally:
            jobapi.enter(None)
        sessions.end(commit=True)
        if job.result_keys is not None and isinstance(result, dict):
            # What `validate` lets later steps refer to.
            assert result.keys() <= set(job.result_keys), job.__name__
        return result
