-- Transactions by their numbers: what became of one whose connection was lost.

-- name: fate_of_transaction
-- What became of an attempt's transaction. The backend of a connection that was cut may still be
-- at work on it: nobody waits for that one, and it is asked to end.
SELECT pg_xact_status(:xact::xid8) AS status,
       EXISTS (SELECT FROM pg_prepared_xacts
                WHERE transaction = :xact::xid8::xid AND database = current_database()) AS prepared,
       (SELECT count(pg_terminate_backend(pid))
          FROM pg_stat_activity
         WHERE backend_xid = :xact::xid8::xid
           AND pid <> pg_backend_pid()) AS ended

-- name: number_of_transaction
SELECT pg_current_xact_id_if_assigned()::text AS number
