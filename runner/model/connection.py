"""A named database that jobs read or write, as config.yaml describes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

# A statement that waits for a lock makes everybody wait who comes after it.
DEFAULT_LOCK_TIMEOUT_S = 5.0

Kind = Literal["postgresql", "sqlite", "mysql", "duckdb"]
"""A kind of database: MariaDB is `mysql`, too."""

PRODUCTS: dict[Kind, str] = {
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "mysql": "MySQL",
    "duckdb": "DuckDB",
}
_KINDS: dict[str, Kind] = {
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
_IN_FILES = ("sqlite", "duckdb")
# control:///NAME is another database of the control database's server.
_BESIDE = "control:///"


@dataclass(frozen=True, slots=True)
class NamedConnection:
    """One entry of `connections`.

    `lock_timeout_s` is how long a statement of a job may wait for a lock, 0 without an end; None
    leaves what the URL, role or database says, and is `DEFAULT_LOCK_TIMEOUT_S` where they say
    nothing. `statement_timeout_s` is the same for a statement; `timezone` and `search_path` None
    leave what role or database have. `role` is the one that jobs work as, None for the one that
    logs in; the ledger is written by the latter. `control_url` is that of the control database
    where this one is another of its server, to be made when a job first uses it. The URLs may hold
    a password: they are left out of `repr`.
    """

    url: str = field(repr=False)
    lock_timeout_s: float | None = None
    timezone: str | None = None
    statement_timeout_s: float | None = None
    role: str | None = None
    search_path: tuple[str, ...] | None = None
    control_url: str | None = field(default=None, repr=False)

    @property
    def kind(self) -> Kind:
        """The kind of database, by the URL's scheme."""
        return kind_of(self.url)


def kind_of(url: str) -> Kind:
    """Return the kind of database that a URL names; what is unknown is PostgreSQL's to refuse."""
    scheme = url.partition("://")[0].partition("+")[0].lower()
    return _KINDS.get(scheme, "postgresql")


def database_beside(url: str) -> str | None:
    """Return the database's name that a URL of the form `control:///NAME` has, else None."""
    return url.removeprefix(_BESIDE) if url.startswith(_BESIDE) else None


def on_server(
    connections: Mapping[str, NamedConnection], control_url: str
) -> dict[str, NamedConnection]:
    """Return connections whose URLs say where their databases are.

    That of `control:///NAME` is the control database's URL with another name in it.
    """
    return {name: _on_server(one, control_url) for name, one in connections.items()}


def placed(connection: NamedConnection, control_url: Callable[[], str]) -> NamedConnection:
    """Do so with one, and ask for the control database's URL only where that is needed."""
    if database_beside(connection.url) is None:
        return connection
    return _on_server(connection, control_url())


def _on_server(connection: NamedConnection, control_url: str) -> NamedConnection:
    name = database_beside(connection.url)
    if name is None:
        return connection
    address, mark, query = control_url.partition("?")
    scheme, slashes, rest = address.partition("://")
    # A name behind the question mark would go over the one in the path.
    kept = "&".join(one for one in query.split("&") if not one.startswith("dbname="))
    url = f"{scheme}{slashes}{rest.partition('/')[0]}/{name}{mark if kept else ''}{kept}"
    return replace(connection, url=url, control_url=control_url)


def located(url: str, folder: Path) -> str:
    """Return a URL whose relative path of a file, if it has one, begins in a folder."""
    if kind_of(url) not in _IN_FILES:
        return url
    scheme, _, rest = url.partition(":///")
    if not rest or rest.startswith(("/", ":")):
        return url
    place = str(folder.resolve())
    for character in "%?#":  # The percent sign first.
        place = place.replace(character, f"%{ord(character):02X}")
    return f"{scheme}:///{place}/{rest}"
