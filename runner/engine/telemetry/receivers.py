"""Makes the receivers that the configuration names."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_registry import Registry
from headrace.engine.telemetry.exporting import Receiver
from headrace.engine.telemetry.lineage import Lineage
from headrace.engine.telemetry.spans import Traces
from headrace.errors import ConfigError


def receivers_of(
    settings: Settings, registry: Registry, database_url: str
) -> Mapping[str, Receiver]:
    """Return the receivers by the names of their keys in `telemetry`.

    Raises:
        ConfigError: The library for one of them is not installed.
    """
    found: dict[str, Receiver] = {}
    if settings.opentelemetry is not None:
        try:
            found["opentelemetry"] = Traces(settings.opentelemetry)
        except ModuleNotFoundError as error:
            raise _missing("opentelemetry", "otel", error) from error
    if settings.openlineage is not None:
        places: dict[str | None, str] = {None: _place(database_url)}
        places |= {name: _place(one.url) for name, one in settings.connections.items()}
        try:
            found["openlineage"] = Lineage(settings.openlineage, registry, places)
        except ModuleNotFoundError as error:
            raise _missing("openlineage", "openlineage", error) from error
    return found


def _missing(key: str, extra: str, error: ModuleNotFoundError) -> ConfigError:
    return ConfigError(
        f"telemetry.{key} needs the library {(error.name or key).partition('.')[0]}, which is not"
        f" installed: pip install 'headrace[{extra}]'"
    )


def _place(url: str) -> str:
    """Return scheme, host, port and database of a URL, as OpenLineage names them."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    scheme = "postgres" if scheme == "postgresql" else scheme
    port = parts.port or {"postgres": 5432, "mysql": 3306, "mariadb": 3306}.get(scheme)
    host = parts.hostname or ""
    return f"{scheme}://{host}{f':{port}' if port else ''}/{parts.path.lstrip('/')}"
