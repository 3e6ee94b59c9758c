-- Transactions by their numbers: what became of one whose connection was lost.

-- name: fate_of_transaction
-- What became of an attempt's transaction. The backend of a connection that was cut may still be
-- at work on it: nobody waits for that one, and it is asked to end. A server that has crashed gives
-- numbers out again that it had given to transactions of which nothing came to disk, and a later
-- checkpoint hides where it went on: once the server was started anew, a number proves nothing. A
-- transaction that was prepared keeps its number.
WITH server AS MATERIALIZED (
    SELECT date_part('epoch', pg_postmaster_start_time())::text = :server::text AS same
)
SELECT CASE WHEN same THEN pg_xact_status(:xact::xid8) ELSE 'aborted' END AS status,
       EXISTS (SELECT FROM pg_prepared_xacts
                WHERE transaction = :xact::xid8::xid
                  AND database = current_database()) AS prepared,
       (SELECT count(pg_terminate_backend(pid))
          FROM pg_stat_activity
         WHERE server.same
           AND backend_xid = :xact::xid8::xid
           AND pid <> pg_backend_pid()) AS ended
  FROM server

-- name: number_of_transaction
SELECT pg_current_xact_id_if_assigned()::text AS number

-- name: hold_attempt
-- Before a part of an attempt's work is committed by itself. No row: the attempt is over. The lock
-- keeps others from ending it until the commit, where the part is in this database.
SELECT id
  FROM headrace.job
 WHERE id = :id::uuid
   AND attempt = :attempt::integer   -- fencing token
   AND status = 'started'
   FOR SHARE

-- name: begin_number
-- The number of the transaction that begins here. Under a job's own search path, as the two below.
SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text

-- name: fire_triggers
-- Triggers and foreign keys hold for what we record, whatever the job has set.
SELECT pg_catalog.set_config('session_replication_role', 'origin', false)
 WHERE pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) 'origin'

-- name: unlock_all
SELECT pg_catalog.pg_advisory_unlock_all()
