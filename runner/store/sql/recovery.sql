-- Repairs by the active daemon, once a second.

-- name: glance
-- Renews the lease and looks whether anything at all is to be done: an idle daemon needs nothing but
-- this, in one round trip and one commit. No row: another daemon holds the lease. `workers` run on this
-- host, where the caller can check their processes. Asked for with EXISTS alone, the planner would read
-- whole tables in which it expects a match at once.
WITH lease AS (
-- include: acquire_lease
)
SELECT term, now,
       coalesce((SELECT min(next_retry_time) FROM headrace.job WHERE status = 'retrying')
                <= clock_timestamp(), false)
       OR (SELECT min(pool)
             FROM headrace.job
            WHERE status = 'waiting' AND slot_wanted AND pool IS NOT NULL) IS NOT NULL
       OR (SELECT count(*)
             FROM headrace.job
            WHERE status = 'waiting' AND child_state IS NOT NULL) > 0
       OR EXISTS (SELECT
                    FROM headrace.worker
                   WHERE status IN ('running', 'draining')
                     AND (seen_at < clock_timestamp() - make_interval(secs => :silence_s::float8)
                          OR seen_at > clock_timestamp() + make_interval(secs => :silence_s::float8)))
       OR (SELECT count(*)
             FROM headrace.job j
             LEFT JOIN headrace.worker w ON w.name = j.worker
            WHERE j.status = 'started'
              AND coalesce(w.status, 'lost') IN ('stopped', 'lost')) > 0
       OR (SELECT wanted
             FROM (
-- include: notifier_wanted
             ) AS notifier)
       OR coalesce((SELECT behind
                      FROM (
-- include: totals_behind
                      ) AS totals), false)
       OR EXISTS (SELECT
-- include: unused_part
          ) AS busy,
       ARRAY(SELECT json_build_array(name, pid, birth_ticks)
               FROM headrace.worker
              WHERE status IN ('running', 'draining')
                AND hostname = :hostname::text) AS workers
  FROM lease

-- name: due_retries
-- Queues retries whose wait is over. They hold no slot while they wait; those that need a slot of a
-- pool are left to `assign_slots`.
UPDATE headrace.job
   SET status = 'queued',
       next_retry_time = NULL,
       queued_at = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE id IN (SELECT id FROM headrace.job
               WHERE status = 'retrying'
                 AND next_retry_time <= clock_timestamp()
                 AND pool IS NULL
               ORDER BY next_retry_time
               LIMIT 5000
                 FOR UPDATE SKIP LOCKED)
RETURNING id, attempt, queue, timeout_s

-- name: end_waits
-- Makes all retries due now: a test that runs a pipeline in its own process does not wait.
UPDATE headrace.job
   SET next_retry_time = clock_timestamp(),
       updated_at = clock_timestamp()
 WHERE status = 'retrying'
   AND next_retry_time > clock_timestamp()

-- name: overdue_messages
-- Jobs queued for longer than a message should take: missing messages are sent again.
SELECT id, attempt, queue, timeout_s
  FROM headrace.job
 WHERE status = 'queued'
   AND queued_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)
 ORDER BY queued_at
 LIMIT 200000

-- name: still_queued
-- Which of these jobs wait for their message still: a worker that has taken one claims its job.
SELECT job.id, job.attempt, job.queue, job.timeout_s
  FROM json_to_recordset(:attempts::json) AS missing (id uuid, attempt integer)
  JOIN headrace.job USING (id, attempt)
 WHERE job.status = 'queued'

-- name: stale_workers
-- Workers that may be dead: without a heartbeat for `lease_s` by PostgreSQL's clock, or on this
-- host, where the caller can check the process itself. A heartbeat in the future was written before
-- the clock was set back: it counts from now, or a dead worker would count as alive until then.
WITH ahead AS (
    UPDATE headrace.worker
       SET seen_at = clock_timestamp()
     WHERE status IN ('running', 'draining')
       AND seen_at > clock_timestamp() + make_interval(secs => :lease_s::float8)
)
SELECT name, hostname, pid, birth_ticks,
       seen_at < clock_timestamp() - make_interval(secs => :lease_s::float8) AS expired
  FROM headrace.worker
 WHERE status IN ('running', 'draining')
   AND (hostname = :hostname::text
        OR seen_at < clock_timestamp() - make_interval(secs => :lease_s::float8))

-- name: lose_workers
UPDATE headrace.worker
   SET status = 'lost'
 WHERE name = ANY (:names::text[])
   AND status IN ('running', 'draining')
RETURNING name

-- name: attempts_of_workers
-- Started jobs of workers that are gone, and of unknown workers after the length of a lease: a new
-- worker may have started a job before its first heartbeat.
SELECT j.id, j.attempt
  FROM headrace.job j
  LEFT JOIN headrace.worker w ON w.name = j.worker
 WHERE j.status = 'started'
   AND (w.status IN ('stopped', 'lost')
        OR (w.name IS NULL
            AND j.started_at < clock_timestamp() - make_interval(secs => :lease_s::float8)))

-- name: terminate_backends
-- A paused worker may still hold a transaction, and its locks, open. If the URL sets another
-- application name, its sessions are recognized by an advisory lock; see session_settings.py.
SELECT count(pg_terminate_backend(pid))
  FROM pg_stat_activity
 WHERE datname = current_database()
   AND pid <> pg_backend_pid()
   AND usename = current_user
   AND (application_name = ANY (:application_names::text[])
        OR pid IN (SELECT l.pid
                     FROM pg_locks l
                     JOIN unnest(:application_names::text[]) name
                       ON l.objid = (hashtext(name)::bigint & 4294967295)::oid
                    WHERE l.locktype = 'advisory' AND l.classid = 1751478627))

-- name: forgotten_runs
-- Runs whose last job has ended, and which no process has finished.
SELECT r.id
  FROM headrace.run r
 WHERE r.status = 'running'
   AND NOT EXISTS (
-- include: unfinished_part
       )

-- name: known_jobs
-- Those of the given ids that are jobs of this installation.
SELECT id FROM headrace.job WHERE id = ANY (:ids::uuid[])
