-- Workers, and the lease of the leading daemon.

-- name: register_worker
INSERT INTO headrace.worker (name, hostname, pid, birth_ticks, queues, processes)
VALUES (:name::text, :hostname::text, :pid::integer, :birth_ticks::bigint, :queues::text[],
        :processes::integer)
    ON CONFLICT (name) DO UPDATE
   SET status = 'running', seen_at = clock_timestamp()

-- name: heartbeat_worker
-- A worker that was taken for dead and is not comes back: its old attempts are fenced anyway.
UPDATE headrace.worker
   SET seen_at = clock_timestamp(), status = :status::text
 WHERE name = :name::text
RETURNING name

-- name: forget_old_workers
DELETE FROM headrace.worker
 WHERE status IN ('stopped', 'lost')
   AND seen_at < clock_timestamp() - interval '1 day'

-- name: take_leadership
-- Take or renew the lease; no row: somebody else holds it.
INSERT INTO headrace.leader AS leader (holder, term, expires_at)
VALUES (:holder::text, 1, clock_timestamp() + make_interval(secs => :lease_s::float8))
    ON CONFLICT (singleton) DO UPDATE
   SET holder = excluded.holder,
       term = leader.term + CASE WHEN leader.holder = excluded.holder THEN 0 ELSE 1 END,
       expires_at = excluded.expires_at
 WHERE leader.holder = excluded.holder
    OR leader.expires_at < clock_timestamp()
RETURNING term

-- name: give_up_leadership
UPDATE headrace.leader SET expires_at = '-infinity' WHERE holder = :holder::text

-- name: holds_term
SELECT term FROM headrace.leader
 WHERE term = :term::bigint
   AND expires_at > clock_timestamp()

-- name: leader
SELECT holder, term, expires_at, expires_at > clock_timestamp() AS live FROM headrace.leader

-- name: attempts_of_worker
SELECT id, attempt FROM headrace.job WHERE worker = :worker::text AND status = 'started'

-- name: run_of_job
SELECT run_id, pipeline, step FROM headrace.job WHERE id = :id::uuid

-- name: terminate_backend
-- The name is checked as well: the pid may serve somebody else by now.
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE pid = :pid::integer
   AND application_name = :application_name::text
