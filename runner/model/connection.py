"""A named database that jobs read or write, as config.yaml describes it."""

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class NamedConnection:
    """One entry of `connections`.

    `lock_timeout_s` is how long a statement of a job may wait for a lock, 0 without an end; None
    leaves what the URL, role or database says, and is `DEFAULT_LOCK_TIMEOUT_S` where they say
    nothing. `statement_timeout_s` is the same for a statement; `timezone` and `search_path` None
    leave what role or database have. `role` is the one that jobs work as, None for the one that
    logs in; the ledger is written by the latter. The URL may hold a password: it is left out of
    `repr`.
    """

    url: str = field(repr=False)
    lock_timeout_s: float | None = None
    timezone: str | None = None
    statement_timeout_s: float | None = None
    role: str | None = None
    search_path: tuple[str, ...] | None = None

    @property
    def kind(self) -> Kind:
        """The kind of database, by the URL's scheme."""
        return kind_of(self.url)


def kind_of(url: str) -> Kind:
    """Return the kind of database that a URL names; what is unknown is PostgreSQL's to refuse."""
    scheme = url.partition("://")[0].partition("+")[0].lower()
    return _KINDS.get(scheme, "postgresql")


def located(url: str, folder: Path) -> str:
    """Return a URL whose relative path of a file, if it has one, begins in a folder."""
    if kind_of(url) not in _IN_FILES:
        return url
    scheme, _, rest = url.partition(":///")
    if not rest or rest.startswith(("/", ":")):
        return url
    return f"{scheme}:///{folder.resolve()}/{rest}"
