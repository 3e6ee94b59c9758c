-- Notifications: what is late, and the outbox. What ends a run writes to it by a trigger: see
-- migrations/versions/0022_notifications.sql.

-- name: notifier_wanted
-- Whether anything is to be sent, or could be late: two looks at indexes that are mostly empty.
SELECT EXISTS (SELECT FROM headrace.notification WHERE status = 'pending')
       OR EXISTS (SELECT
                    FROM headrace.run
                   WHERE expected IS NOT NULL
                     AND status IN ('queued', 'running')) AS wanted

-- name: note_late
-- Marks runs and steps that are late at this moment and were not so before, and tells of them. The
-- runs are few: those that have limits and have not ended. The run's row is locked and its status
-- is looked at again, so that nothing is late after its end.
WITH open AS MATERIALIZED (
    SELECT r.id, r.expected, r.late, r.started_at,
           -- Whoever asks for a run of an earlier instant does not ask for it to be in time.
           CASE WHEN r.trigger = 'schedule' THEN r.logical_date ELSE r.created_at END AS due
      FROM headrace.run r
     WHERE r.status IN ('queued', 'running')
       AND r.expected IS NOT NULL
), limits AS (
    SELECT o.id, o.due, o.started_at, x.key AS step,
           (x.value ->> 'deadline_s')::float8 AS deadline_s,
           (x.value ->> 'duration_s')::float8 AS duration_s
      FROM open o
     CROSS JOIN jsonb_each(o.expected) AS x
     WHERE NOT coalesce(o.late ? x.key, false)
), begun AS (
    -- Of a step: its jobs, several with a foreach. It is open while one of them is.
    SELECT l.*, s.since AS step_since, coalesce(s.is_open, false) AS is_open
      FROM limits l
      LEFT JOIN LATERAL (
            SELECT min(least(j.started_at, c.started_at,
                             (SELECT min(a.started_at) FROM headrace.job_attempt a
                               WHERE a.job_id = j.id))) AS since,
                   bool_or(j.status IN ('waiting', 'queued', 'started', 'retrying')) AS is_open
              FROM headrace.job j
              LEFT JOIN headrace.run c ON c.id = j.child_run
             WHERE j.run_id = l.id
               AND split_part(j.step, '[', 1) = l.step) AS s ON l.step <> ''
), passed AS (
    SELECT DISTINCT ON (b.id, b.step) b.id, b.step, rule.name, rule.limit_s, rule.since
      FROM begun b
     CROSS JOIN LATERAL (VALUES
            ('deadline', b.deadline_s, b.due + make_interval(secs => b.deadline_s)),
            ('expected_duration', b.duration_s,
             CASE b.step WHEN '' THEN b.started_at ELSE b.step_since END
             + make_interval(secs => b.duration_s))
           ) AS rule (name, limit_s, since)
     WHERE (b.step = '' OR b.is_open)
       AND rule.since < clock_timestamp()
     ORDER BY b.id, b.step, rule.since
), marks AS (
    SELECT id, jsonb_object_agg(step, jsonb_build_object('rule', name, 'limit_s', limit_s,
                                                         'since', since)) AS late
      FROM passed
     GROUP BY id
), marked AS (
    UPDATE headrace.run r
       SET late = coalesce(r.late, '{}') || marks.late,
           updated_at = clock_timestamp()
      FROM marks
     WHERE r.id = marks.id
       AND r.status IN ('queued', 'running')
       AND EXISTS (SELECT FROM headrace.leader
                    WHERE term = :term::bigint AND expires_at > clock_timestamp())
    RETURNING r.id, r.pipeline, r.status, r.trigger, r.logical_date, r.started_at, r.notify,
              marks.late
), told AS (
    INSERT INTO headrace.notification (kind, receiver, pipeline, run_id, step, content)
    SELECT 'late', receiver, m.pipeline, m.id, nullif(late.key, ''),
           jsonb_build_object('status', m.status, 'trigger', m.trigger,
                              'logical_date', m.logical_date, 'started_at', m.started_at)
           || late.value
      FROM marked m
     CROSS JOIN jsonb_each(m.late) AS late
     CROSS JOIN jsonb_array_elements_text(m.notify -> 'to') AS receiver
     WHERE m.notify -> 'on' ? 'late'
)
SELECT m.id, m.pipeline, late.key AS step, late.value ->> 'rule' AS rule,
       (late.value ->> 'limit_s')::float8 AS limit_s
  FROM marked m
 CROSS JOIN jsonb_each(m.late) AS late

-- name: add_notifications
-- Of a run that could not be made: no row of it ends.
WITH failing AS (
    SELECT * FROM json_to_recordset(:failures::json)
        AS failing (pipeline text, receivers text[], content jsonb)
), alarmed AS (
    INSERT INTO headrace.alarm AS known (pipeline, failures)
    SELECT pipeline, count(*) FROM failing GROUP BY pipeline ORDER BY pipeline
        ON CONFLICT (pipeline) DO UPDATE SET failures = known.failures + excluded.failures
)
INSERT INTO headrace.notification (kind, receiver, pipeline, content)
SELECT 'failure', receiver, pipeline, content
  FROM failing
 CROSS JOIN unnest(receivers) AS receiver

-- name: claim_notifications
-- Takes one notification for each receiver that is not busy. Those of one pipeline go to a receiver
-- in the order in which they arose: a recovery does not overtake its failure. Until the claim ends
-- nobody else takes them; a daemon that was replaced takes none.
WITH heads AS (
    SELECT DISTINCT ON (receiver, pipeline)
           id, receiver, created_at, greatest(next_try, taken_until) AS next_try
      FROM headrace.notification
     WHERE status = 'pending'
       AND receiver <> ALL (:busy::text[])
     ORDER BY receiver, pipeline, created_at, id
), due AS (
    SELECT DISTINCT ON (receiver) id
      FROM heads
     WHERE next_try <= clock_timestamp()
     ORDER BY receiver, next_try, created_at, id
     LIMIT :most::integer
), taken AS (
    SELECT id
      FROM headrace.notification
     WHERE id IN (SELECT id FROM due)
       AND status = 'pending'
       AND greatest(next_try, taken_until) <= clock_timestamp()
       FOR UPDATE SKIP LOCKED
)
UPDATE headrace.notification n
   SET tries = n.tries + 1,
       taken_until = clock_timestamp() + make_interval(secs => :claim_s::float8)
  FROM taken
 WHERE n.id = taken.id
   AND EXISTS (SELECT FROM headrace.leader
                WHERE term = :term::bigint AND expires_at > clock_timestamp())
RETURNING n.id, n.kind, n.receiver, n.pipeline, n.run_id, n.step, n.content, n.tries, n.created_at,
          extract(epoch FROM clock_timestamp() - n.created_at)::float8 AS age_s

-- name: end_notification
-- The number of the attempt fences it: an earlier one cannot overwrite what a later one has recorded.
-- What was sent is counted for /metrics in the same transaction.
WITH ended AS (
    UPDATE headrace.notification
       SET status = :status::text, error = :error::text, ended_at = clock_timestamp()
     WHERE id = :id::uuid
       AND tries = :tries::integer
       AND status = 'pending'
    RETURNING id, status
), counted AS (
    INSERT INTO headrace.total AS t (name, count)
    SELECT 'notices', count(*) FROM ended WHERE status = 'sent' HAVING count(*) > 0
        ON CONFLICT (name) DO UPDATE SET count = t.count + excluded.count
)
SELECT id FROM ended

-- name: postpone_notification
UPDATE headrace.notification
   SET next_try = clock_timestamp() + make_interval(secs => :wait_s::float8),
       taken_until = NULL,
       error = :error::text
 WHERE id = :id::uuid
   AND tries = :tries::integer
   AND status = 'pending'
RETURNING id

-- name: hurry_notifications
-- A receiver that was away has been reached: what waits for it is sent now.
UPDATE headrace.notification
   SET next_try = clock_timestamp()
 WHERE status = 'pending'
   AND receiver = :receiver::text
   AND next_try > clock_timestamp()

-- name: notifications
-- Newest first.
SELECT id, kind, receiver, pipeline, run_id, step, content, status, tries, next_try, error,
       created_at, ended_at
  FROM headrace.notification
 WHERE (:status::text IS NULL OR status = :status::text)
   AND (:receiver::text IS NULL OR receiver = :receiver::text)
   AND (:pipeline::text IS NULL OR pipeline = :pipeline::text)
 ORDER BY created_at DESC, id DESC
 LIMIT :limit::integer

-- name: notifications_of_run
SELECT id, kind, receiver, step, status, tries, next_try, error, created_at, ended_at
  FROM headrace.notification
 WHERE run_id = :run_id::uuid
 ORDER BY created_at, id

-- name: prune_notifications
-- What waits to be sent is kept; it is given up in time.
DELETE FROM headrace.notification
 WHERE status <> 'pending'
   AND created_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)

-- name: ails
-- What keeps the heartbeat from being sent, apart from Redis: no row where all is well. A schedule is
-- late if its run has not been made a minute after its instant.
SELECT 'no worker is alive' AS why
 WHERE NOT EXISTS (SELECT FROM headrace.worker
                    WHERE status IN ('running', 'draining')
                      AND seen_at > clock_timestamp() - make_interval(secs => :lease_s::float8))
UNION ALL
SELECT format('the schedule of %s is late', pipeline)
  FROM headrace.schedule
 WHERE NOT paused
   AND declared <> ''
   AND next_instant < clock_timestamp() - interval '1 minute'
UNION ALL
SELECT 'another daemon is active'
 WHERE NOT EXISTS (SELECT FROM headrace.leader
                    WHERE term = :term::bigint AND expires_at > clock_timestamp())
