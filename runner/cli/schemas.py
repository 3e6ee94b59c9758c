"""`headrace schema`: what editors know of a project's files."""

import argparse
from typing import TYPE_CHECKING

from headrace.cli.installation_access import settings_of
from headrace.model import exact_json

if TYPE_CHECKING:
    from headrace.declarations.config import Settings

# What an editor is given, and the file of a project that `init` and its Makefile write it to.
FILES = {"pipeline": "schema/pipeline.schema.json", "config": "schema/config.schema.json"}


def schema(given: argparse.Namespace) -> int:
    """Print a schema; that of pipelines has the parameters of every job that is installed."""
    print(text_of(given.of, settings_of(given)), end="")
    return 0


def text_of(kind: str, settings: "Settings") -> str:
    """Return a schema as it stands in its file."""
    if kind == "config":
        from headrace.declarations.schemas import schema as shipped

        found = dict(shipped("config"))
    else:
        from headrace.engine.catalog.job_registry import registry_of
        from headrace.engine.catalog.job_schema import pipeline_schema

        found = pipeline_schema(registry_of(settings), settings)
    # In ASCII, so that the file is the same whatever the terminal's encoding was.
    return exact_json.dumps(found, ensure_ascii=True, indent=2) + "\n"
