"""What programs go by: the code of each error, and the exit code of a command that it ends."""

from headrace import errors

# They change on purpose only, with a line in the changelog.
CODES = {
    "AmbiguousId": "ambiguous-id",
    "ChildRunFailed": "child-run",
    "ConfigError": "config",
    "EmbeddedError": "embedded",
    "HeadraceError": "error",
    "IllegalTransition": "illegal-transition",
    "InvalidParams": "invalid-params",
    "InvalidPayload": "invalid-with",
    "InvalidResult": "invalid-result",
    "JobFailure": "job-failure",
    "LeadershipLost": "leadership-lost",
    "NameInUse": "name-in-use",
    "NotFound": "not-found",
    "OtherDatabaseError": "other-database",
    "ProblemsError": "invalid",
    "QueueUnavailable": "redis-unavailable",
    "RefusedSql": "refused-sql",
    "SchemaMismatch": "schema",
    "StaleAttempt": "stale-attempt",
    "StoreUnavailable": "postgres-unavailable",
    "TelemetryRefused": "error",
    "TemplateError": "template",
    "TooManyRuns": "too-many-runs",
    "TransactionEnded": "transaction-ended",
    "UnknownJobClass": "unknown-job",
    "UnknownPipeline": "unknown-pipeline",
}
# The surroundings are not as they should be; all others end a command with 1.
EXIT_2 = {"ConfigError", "EmbeddedError", "SchemaMismatch"}


def test_every_error_has_its_code_and_its_exit_code() -> None:
    known = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.HeadraceError)
    }

    assert {name: kind.code for name, kind in known.items()} == CODES
    assert {name for name, kind in known.items() if kind.exit_code == 2} == EXIT_2
    assert {kind.exit_code for kind in known.values()} == {1, 2}
