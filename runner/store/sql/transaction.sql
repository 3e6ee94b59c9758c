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

-- name: note_appended
-- Which tables the statements before have meant, under the job's own search path. Where that names
-- the server's own schema, which is the first one otherwise, no name is known to mean what it seems.
SELECT pg_catalog.set_config('headrace.appended', CASE
         WHEN pg_catalog.strpos(pg_catalog.current_setting('search_path'), 'pg_catalog')
              OPERATOR(pg_catalog.>) 0 THEN '0'
         ELSE (SELECT pg_catalog.string_agg(
                          COALESCE(pg_catalog.to_regclass(name)::pg_catalog.oid, 0)::pg_catalog.text,
                          ',')
                 FROM pg_catalog.unnest(:tables::pg_catalog.text[]) AS appended (name)) END, true)

-- name: appends_only
-- Whether rows appended to the noted tables have done nothing that another job of the transaction
-- could notice, nor depend on when it began: no trigger, rule, policy or late constraint, no view or
-- temporary table, no default, check or type with code of its own. The jobs' locks on the tables
-- keep it so until COMMIT.
SELECT coalesce(bool_and(
           c.relkind = 'r'
           AND c.relpersistence <> 't'
           AND am.amname = 'heap'
           AND NOT c.relhasrules
           AND NOT c.relrowsecurity
           AND n.nspname NOT IN ('headrace', 'pg_catalog')
           AND NOT EXISTS (SELECT FROM pg_trigger t
                            WHERE t.tgrelid = c.oid AND (t.tgdeferrable OR NOT t.tgisinternal))
           AND NOT EXISTS (
               SELECT FROM pg_constraint k
                WHERE k.conrelid = c.oid
                  AND (k.condeferrable
                       OR k.conbin::text ~ 'FUNCEXPR|SQLVALUEFUNCTION|SUBLINK|COERCEVIAIO'
                       OR k.conbin::text ~ '[:]opfuncid [0-9]{5,}'))
           AND NOT EXISTS (
               SELECT FROM pg_attrdef d
                WHERE d.adrelid = c.oid
                  AND pg_get_expr(d.adbin, d.adrelid)
                      !~ '^nextval\(''[^'']+''::regclass\)$'
                  AND pg_get_expr(d.adbin, d.adrelid)
                      !~ '^(clock_timestamp|gen_random_uuid|random)\(\)$'
                  AND pg_get_expr(d.adbin, d.adrelid)
                      !~ '^(-?[0-9.]+|true|false|''([^'']|'''')*''::[a-z0-9 ]+)$')
           AND NOT EXISTS (
               SELECT FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                  AND (a.attgenerated <> ''
                       OR (y.typnamespace <> 'pg_catalog'::regnamespace AND y.typtype <> 'e')))
       ), false) AS only
  FROM unnest(string_to_array(current_setting('headrace.appended'), ',')::oid[]) AS noted (id)
  LEFT JOIN pg_class c ON c.oid = noted.id
  LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am am ON am.oid = c.relam
