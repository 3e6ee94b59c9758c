"""FailedJob: a job that fails, to see what a failure looks like."""

from headrace.jobs.base import BaseJob, logger


class MyException(Exception):
    """The error that FailedJob raises."""

    def __init__(self, message: str = "This is a custom exception") -> None:
        super().__init__(message)


class FailedJob(BaseJob):
    """Always fail, to demonstrate retries and error reports."""

    def handle(self) -> None:
        logger.info("Running FailedJob")
        raise MyException
