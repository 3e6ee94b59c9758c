"""What the built-in jobs say of their tables: `validate` looks the names up in `with`."""

import inspect
from typing import Any

import pytest

from headrace.engine.catalog.job_registry import Registry

REGISTRY = Registry("headrace.jobs")


@pytest.mark.parametrize("name", sorted(REGISTRY.names()))
def test_the_tables_of_a_job_are_named_by_its_parameters(name: str) -> None:
    job: Any = REGISTRY.get(name).cls
    known = inspect.signature(job.__init__).parameters
    named = {*job.tables_read, *job.tables_written, *job.tables_made}

    assert named <= set(known)
    assert set(job.tables_made) <= set(job.tables_written)
