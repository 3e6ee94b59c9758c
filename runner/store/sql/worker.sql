-- Workers, and the lease of the active daemon.

-- name: register_worker
INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes, job_files)
VALUES (:name::text, :hostname::text, :pid::integer, :birth_ticks::bigint, :queues::text[],
        :processes::integer, :job_files::text)
    ON CONFLICT (name) DO UPDATE
   SET status = 'running', seen_at = clock_timestamp()

-- name: heartbeat_worker
-- A worker that was considered dead and is alive returns: its old attempts are fenced anyway.
UPDATE headrace.worker
   SET seen_at = clock_timestamp(), status = :status::text
 WHERE name = :name::text
RETURNING name

-- name: forget_old_workers
DELETE FROM headrace.worker
 WHERE status IN ('stopped', 'lost')
   AND seen_at < clock_timestamp() - interval '1 day'

-- name: acquire_lease
-- Takes or renews the lease; no row: another daemon holds it. A lease that ends further ahead than
-- its own length was written before the clock was set back: it is void, or no daemon would be
-- active until that time.
INSERT INTO headrace.leader AS leader (holder, term, expires_at, lease)
VALUES (:holder::text, 1, clock_timestamp() + make_interval(secs => :lease_s::float8),
        make_interval(secs => :lease_s::float8))
    ON CONFLICT (singleton) DO UPDATE
   SET holder = excluded.holder,
       term = leader.term + CASE WHEN leader.holder = excluded.holder THEN 0 ELSE 1 END,
       expires_at = excluded.expires_at,
       lease = excluded.lease
 WHERE leader.holder = excluded.holder
    OR leader.expires_at < clock_timestamp()
    OR leader.expires_at > clock_timestamp() + leader.lease
RETURNING term, clock_timestamp() AS now

-- name: give_up_lease
UPDATE headrace.leader SET expires_at = '-infinity' WHERE holder = :holder::text

-- name: holds_term
SELECT term FROM headrace.leader
 WHERE term = :term::bigint
   AND expires_at > clock_timestamp()

-- name: leader
-- Late: the daemon has not given up the lease, and the lease is over.
SELECT holder, term, expires_at, live, expires_at > '-infinity' AND NOT live AS late
  FROM (SELECT *, expires_at > clock_timestamp()
                  AND expires_at <= clock_timestamp() + lease AS live
          FROM headrace.leader) leader

-- name: attempts_of_worker
SELECT id, attempt FROM headrace.job WHERE worker = :worker::text AND status = 'started'

-- name: run_of_job
SELECT run_id, pipeline, step FROM headrace.job WHERE id = :id::uuid

-- name: terminate_backend
-- The name is checked as well: the pid may belong to another session by now.
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE pid = :pid::integer
   AND (application_name = :application_name::text
        OR EXISTS (SELECT FROM pg_locks l       -- where the URL gives its sessions another name
                    WHERE l.pid = pg_stat_activity.pid
                      AND l.locktype = 'advisory' AND l.classid = 1751478627
                      AND l.objid = (hashtext(:application_name::text)::bigint & 4294967295)::oid))

-- name: lock_holders
-- Used by another session after a statement has waited for a lock in vain: the holders of locks on
-- the tables that it names, longest transactions first. Their SQL is not included.
SELECT n.nspname || '.' || c.relname AS relation, a.pid, a.usename::text AS role,
       a.application_name AS program, a.state,
       coalesce(extract(epoch FROM clock_timestamp() - min(a.xact_start)), 0)::bigint AS since_s
  FROM pg_locks l
  JOIN pg_class c ON c.oid = l.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.granted
   AND l.locktype = 'relation'
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S')
   AND c.relname = ANY (:words::text[])
   AND n.nspname NOT IN ('pg_catalog', 'headrace')
   AND a.pid NOT IN (pg_backend_pid(), :pid::integer)
 GROUP BY 1, 2, 3, 4, 5
 ORDER BY min(a.xact_start)
 LIMIT 3

-- name: connection_limits
-- How many connections ordinary roles may have, and have, by each limit that applies here. Of other
-- roles' sessions little can be seen, but that they are there; this session is not counted.
WITH session AS MATERIALIZED (
    SELECT datid, usesysid
      FROM pg_stat_activity
     WHERE datid IS NOT NULL
       AND usesysid IS NOT NULL
       AND pid <> pg_backend_pid()
)
SELECT 'the server' AS place,
       current_setting('max_connections')::integer
       - current_setting('superuser_reserved_connections')::integer
       - coalesce(nullif(current_setting('reserved_connections', true), ''), '0')::integer AS most,
       (SELECT count(*) FROM session)::integer AS used
UNION ALL
SELECT 'the role ' || r.rolname, r.rolconnlimit,
       (SELECT count(*) FROM session WHERE usesysid = r.oid)::integer
  FROM pg_roles r
 WHERE r.rolname = session_user
   AND r.rolconnlimit >= 0
UNION ALL
SELECT 'the database ' || d.datname, d.datconnlimit,
       (SELECT count(*) FROM session WHERE datid = d.oid)::integer
  FROM pg_database d
 WHERE d.datname = current_database()
   AND d.datconnlimit >= 0
