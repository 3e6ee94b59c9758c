"""Headrace: pipelines declared in YAML, gated in PostgreSQL, carried by RQ."""

__version__ = "0.1.0"
