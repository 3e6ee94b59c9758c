"""A command loads what it needs: that keeps it quick, whatever machine it runs on."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.home import Home

HEAVY = frozenset(
    "sqlalchemy redis rq pydantic jsonschema sqlglot jinja2 yaml alembic croniter holidays psycopg2"
    " fastapi uvicorn starlette pyarrow fsspec importlib.metadata importlib.resources".split()
)
