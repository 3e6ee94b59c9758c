"""One class per cause, worded for the user.

Every message says what is wrong, where, and what to do about it. The command line prints
them without a traceback; `exit_code` is what it ends with.
"""

from dataclasses import dataclass


class HeadraceError(Exception):
    """Base of everything that Headrace reports about a user's input or its surroundings."""

    exit_code = 1
    code = "error"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a file. `line` and `column` count from 1.

    Line 0 means no place in particular: a file that cannot be opened, an environment variable.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{place}: {self.message} [{self.code}]"
        return f"{text}\n  hint: {self.hint}" if self.hint else text


class ProblemsError(HeadraceError):
    """One or more files hold mistakes; all of them are listed."""

    code = "invalid"

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigError(HeadraceError):
    """The configuration cannot be used."""

    exit_code = 2
    code = "config"


class UnknownPipeline(HeadraceError):
    """No valid pipeline has this name."""

    code = "unknown-pipeline"


class UnknownJobClass(HeadraceError):
    """No job class has this name."""

    code = "unknown-job"


class InvalidPayload(HeadraceError):
    """The arguments do not fit the job class."""

    code = "invalid-with"


class InvalidParams(HeadraceError):
    """The parameters do not fit the pipeline."""

    code = "invalid-params"


class NotFound(HeadraceError):
    """No job or run has this id, or the project lacks what a request is about."""

    code = "not-found"


class AmbiguousId(HeadraceError):
    """Several ids begin like this one, which was cut too short."""

    code = "ambiguous-id"


class NameInUse(HeadraceError):
    """Something has this name already."""

    code = "name-in-use"


class IllegalTransition(HeadraceError):
    """The job or run is in a status in which this cannot be done."""

    code = "illegal-transition"


class TooManyRuns(HeadraceError):
    """Too many runs: as many as the pipeline's `concurrency` allows are running."""

    code = "too-many-runs"


class StaleAttempt(HeadraceError):
    """Another attempt has taken over, or the job was cancelled: nothing may be written."""

    code = "stale-attempt"


class TransactionEnded(HeadraceError):
    """A job's SQL has ended the transaction that its completion belongs to."""

    code = "transaction-ended"

    def __init__(self, message: str = "its SQL ended the transaction") -> None:
        super().__init__(message)


class StoreUnavailable(HeadraceError):
    """PostgreSQL does not answer."""

    code = "postgres-unavailable"


class LeadershipLost(HeadraceError):
    """Another daemon may lead by now: nothing may be scheduled."""

    code = "leadership-lost"


class QueueUnavailable(HeadraceError):
    """Redis does not answer, or refuses; `reason` is one word for the cause."""

    code = "redis-unavailable"

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class SchemaMismatch(ConfigError):
    """The control database's schema is older or newer than this version can work with."""

    code = "schema"


class TelemetryRefused(HeadraceError):
    """A receiver of traces or lineage events did not take what was sent."""


class EmbeddedError(HeadraceError):
    """An embedded server could not be started or stopped."""

    exit_code = 2
    code = "embedded"


class TemplateError(HeadraceError):
    """An SQL template could not be rendered."""

    code = "template"


class RefusedSql(HeadraceError):
    """A statement that may not run inside a job's transaction, or a name that is no identifier."""

    code = "refused-sql"


class InvalidResult(HeadraceError):
    """The result that a job has returned cannot be stored."""

    code = "invalid-result"


class ChildRunFailed(HeadraceError):
    """The run that a step has started was not completed."""

    code = "child-run"


class JobFailure(HeadraceError):
    """Raised by a job to fail with a clear message (a check that found bad rows, say)."""

    code = "job-failure"


class OtherDatabaseError(JobFailure):
    """A database that is not PostgreSQL has refused something; `orig` is its driver's error."""

    code = "other-database"

    def __init__(self, message: str, orig: BaseException | None = None) -> None:
        super().__init__(message)
        self.orig = orig


class JobStopped(BaseException):
    """Raised inside a job that has to end: at its timeout, cancelled, or as its worker stops.

    No `Exception`: what catches those must not hold it up. A job has `kill_after` to tidy up.
    """
