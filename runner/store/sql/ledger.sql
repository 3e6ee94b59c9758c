-- Statements for target databases, where a role may have any search path: every function and
-- operator is qualified with its schema.

-- name: ledger_state
-- Checked before anything is created: CREATE SCHEMA IF NOT EXISTS requires the privilege even if an
-- administrator has created the schema beforehand. Reads pg_catalog's own tables; see ledger.py.
SELECT pg_catalog.current_database()::pg_catalog.text,
       current_user::pg_catalog.text,
       pg_catalog.pg_is_in_recovery()
           OR pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       n.oid IS NOT NULL,
       coalesce(pg_catalog.pg_has_role(n.nspowner, 'USAGE'), false),
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE')
                AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false),
       c.oid IS NOT NULL,
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE')
                AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
                AND pg_catalog.has_table_privilege(c.oid, 'INSERT'), false)
  FROM (VALUES (1)) AS one
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) 'headrace'
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
                                 AND c.relname OPERATOR(pg_catalog.=) 'ledger'

-- name: make_schema
CREATE SCHEMA headrace

-- name: open_schema
-- Jobs of other roles work in this database, too; the schema's objects have privileges of their own.
GRANT USAGE ON SCHEMA headrace TO PUBLIC

-- name: make_ledger
CREATE TABLE headrace.ledger (
    job_id      pg_catalog.uuid PRIMARY KEY,
    attempt     pg_catalog.int4 NOT NULL,
    applied_at  pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
)

-- name: may_open_ledger
-- The table's owner grants access to the roles of the other connections, by name. Not to PUBLIC:
-- whoever can write there can make a job that has not run count as done.
SELECT pg_catalog.current_database()::pg_catalog.text,
       coalesce((SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT WITH GRANT OPTION')
                    AND pg_catalog.has_table_privilege(c.oid, 'INSERT WITH GRANT OPTION')
                   FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
                  WHERE n.nspname OPERATOR(pg_catalog.=) 'headrace'
                    AND c.relname OPERATOR(pg_catalog.=) 'ledger'), false)

-- name: ledger_entry
SELECT attempt FROM headrace.ledger WHERE job_id OPERATOR(pg_catalog.=) :id::pg_catalog.uuid

-- name: begin_in_ledger
-- The number of the transaction that begins, and whether the ledger has the job: in one statement
-- that is planned once for each connection.
-- include: begin_number
, EXISTS (
-- include: ledger_entry
)

-- name: sign_ledger
-- The job's effect is in this transaction. Where the job has ended its transaction, and this is
-- another one, there is no id, which the key refuses: a COMMIT stands in the same message. The
-- session was reset before, so names resolve as they should: prepared, too, for that is a change of
-- the search path, after which PostgreSQL looks them up again.
INSERT INTO headrace.ledger (job_id, attempt)
SELECT (SELECT :id::uuid
         WHERE pg_current_xact_id_if_assigned()::text = :xact::text      -- mark
       ), :attempt::integer
