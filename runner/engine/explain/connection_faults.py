"""What is wrong with the connections that a step names."""

from collections.abc import Iterator, Mapping
from typing import Any

from headrace.declarations.config import Settings
from headrace.engine.catalog.job_type import JobType
from headrace.model.connection import PRODUCTS


def faults_of_connections(
    kind: JobType, payload: Mapping[str, Any], settings: Settings
) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, code, message and hint: one is unknown, or leads where the job does not work."""
    for key in kind.connections:
        name = payload.get(key)
        if not isinstance(name, str):
            continue
        known = settings.connections.get(name)
        if known is None:
            hint = "name it under `connections` in config.yaml"
            yield key, "unknown-connection", f'uses an unknown connection "{name}"', hint
        elif known.kind != "postgresql" and key not in getattr(kind.cls, "other_databases", ()):
            product = PRODUCTS[known.kind]
            message = f'{key} "{name}" is {product}, and {kind.name} works in PostgreSQL only'
            hint = "docs/guide/databases.md lists what works in other databases"
            yield key, "other-database", message, hint
