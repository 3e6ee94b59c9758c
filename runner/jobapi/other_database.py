"""A database that is not PostgreSQL, as a job sees it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from headrace.model.connection import Kind

if TYPE_CHECKING:
    from headrace.template import RenderedSql


class Answer(Protocol):
    """What a statement has given; `types` are its columns' where the driver tells them."""

    rowcount: int
    types: list[str] | None

    @property
    def returns_rows(self) -> bool:
        """Whether it gives rows."""
        ...

    def keys(self) -> list[str]:
        """Return the names of its columns."""
        ...

    def __iter__(self) -> Iterator[tuple[Any, ...]]: ...


class OtherDatabase(Protocol):
    """One connection. Names are quoted as in PostgreSQL, in each of them."""

    @property
    def kind(self) -> Kind:
        """The kind of database."""
        ...

    @property
    def name(self) -> str:
        """The connection's name."""
        ...

    @property
    def product(self) -> str:
        """The name of its software."""
        ...

    def run(self, sql: "RenderedSql", *, stream: bool = False) -> Answer:
        """Run one statement; with `stream` its rows are to be read before the next one."""
        ...

    def insert(self, table: str, columns: Sequence[str], rows: list[Sequence[Any]]) -> None:
        """Insert rows; table and columns are SQL, the values as the database's driver has them."""
        ...

    def define(self, sql: "RenderedSql") -> None:
        """Run a CREATE TABLE, in the transaction where the database can, else at once."""
        ...
