-- The same rules as domains. A CHECK constraint of a table is parsed anew from its stored form by
-- each statement that writes a row; a domain's is kept compiled, and only looked at where its
-- column is written. Every start and every end of a job is such a statement. Mind the names: in
-- this schema, which may be on the search path, a domain `count` would stand before the function.
CREATE DOMAIN headrace.job_status AS text
       CHECK (VALUE IN ('waiting', 'queued', 'started', 'retrying',
                        'completed', 'failed', 'cancelled', 'skipped'));
CREATE DOMAIN headrace.trigger_rule AS text
       CHECK (VALUE IN ('all_success', 'all_done', 'one_success', 'one_failed', 'none_failed'));
CREATE DOMAIN headrace.handler_kind AS text
       CHECK (VALUE IN ('success', 'failure', 'finally'));
CREATE DOMAIN headrace.child_state AS text
       CHECK (VALUE IN ('wanted', 'begun'));
CREATE DOMAIN headrace.dependency_count AS integer
       CHECK (VALUE >= 0);

ALTER TABLE headrace.job
      DROP CONSTRAINT job_status_check,
      DROP CONSTRAINT job_trigger_rule_check,
      DROP CONSTRAINT job_deps_left_check,
      DROP CONSTRAINT job_handler_check,
      DROP CONSTRAINT job_child_state_check,
      ALTER COLUMN status TYPE headrace.job_status,
      ALTER COLUMN trigger_rule TYPE headrace.trigger_rule,
      ALTER COLUMN deps_left TYPE headrace.dependency_count,
      ALTER COLUMN handler TYPE headrace.handler_kind,
      ALTER COLUMN child_state TYPE headrace.child_state;
