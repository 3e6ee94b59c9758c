"""One job a file: every BaseJob subclass here can be named in a pipeline by its class name."""

if __name__ == "jobs":  # Found by its folder's name, in a clone.
    from headrace.jobapi import former_names

    former_names.stand_in(__name__)
else:
    from headrace.jobs.base import BaseJob, get_db, logger

__all__ = ["BaseJob", "get_db", "logger"]
