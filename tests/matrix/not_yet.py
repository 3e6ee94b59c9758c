"""Cells of the matrix that are known to be wrong today. Each leaves the list with its mend."""

NOT_YET = frozenset(
    """
    aggregate-bouncer
    archive-bouncer
    check-bouncer
    check_fails-bouncer
    drop-bouncer
    mirror-berlin-bouncer
    mirror-bouncer-berlin
    mirror-bouncer-bouncer
    mirror-bouncer-control
    mirror-control-bouncer
    populate-berlin
    populate-bouncer
    rebuild-bouncer
    run_sql-berlin
    run_sql-bouncer
    run_sql_into-bouncer
    slow-bouncer
    sync-berlin-bouncer
    sync-bouncer-berlin
    sync-bouncer-bouncer
    sync-bouncer-control
    sync-control-bouncer
    truncate-bouncer
    vacuum-bouncer
    through_pgbouncer
    a_schema_that_a_dba_made
    """.split()
)
