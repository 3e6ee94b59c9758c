"""One job a file: every BaseJob subclass here can be named in a pipeline by its class name."""

from headrace.jobs.base import BaseJob, get_db, logger

__all__ = ["BaseJob", "get_db", "logger"]
