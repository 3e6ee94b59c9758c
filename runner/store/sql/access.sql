-- Who may do what (tokens and sessions), and who did what (the audit trail).

-- name: create_token
-- No row: a token with this name exists.
INSERT INTO headrace.token (id, name, role, hash)
VALUES (:id::uuid, :name::text, :role::text, :hash::text)
    ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING id, name, role::text, created_at

-- name: tokens
-- Those that are in use first, then the revoked ones.
SELECT id, name, role::text, created_at, last_used_at, revoked_at
  FROM headrace.token
 ORDER BY revoked_at DESC NULLS FIRST, name

-- name: revoke_token
-- Its sessions are over with it: each look at one looks at its token, too.
UPDATE headrace.token
   SET revoked_at = clock_timestamp()
 WHERE name = :name::text
   AND revoked_at IS NULL
RETURNING id, name, role::text, created_at, revoked_at

-- name: token_by_hash
SELECT id, name, role::text, hash,
       coalesce(last_used_at < clock_timestamp() - interval '1 minute', true) AS unseen
  FROM headrace.token
 WHERE hash = :hash::text
   AND revoked_at IS NULL

-- name: see_token
-- Once a minute at most: a read by a program is not to be a write.
UPDATE headrace.token
   SET last_used_at = clock_timestamp()
 WHERE id = :id::uuid
   AND coalesce(last_used_at < clock_timestamp() - interval '1 minute', true)

-- name: open_session
INSERT INTO headrace.session (id, hash, token_id, proof, ends_at)
VALUES (:id::uuid, :hash::text, :token_id::uuid, :proof::text,
        clock_timestamp() + make_interval(secs => :lifetime_s::float8))
RETURNING id, ends_at

-- name: session_by_hash
-- A session that is over is returned, too: whoever sends its cookie is refused.
SELECT s.id, s.token_id, s.proof, s.ends_at, t.name, t.role::text,
       s.ended_at IS NULL AND s.ends_at > clock_timestamp() AND t.revoked_at IS NULL AS live
  FROM headrace.session s
  LEFT JOIN headrace.token t ON t.id = s.token_id
 WHERE s.hash = :hash::text

-- name: end_session
UPDATE headrace.session
   SET ended_at = clock_timestamp()
 WHERE id = :id::uuid
   AND ended_at IS NULL

-- name: is_still_allowed
-- For answers that last: a stream of events ends with the session or token that it was opened with.
SELECT (:token_id::uuid IS NULL
        OR EXISTS (SELECT FROM headrace.token WHERE id = :token_id::uuid AND revoked_at IS NULL))
       AND (:session_id::uuid IS NULL
            OR EXISTS (SELECT FROM headrace.session
                        WHERE id = :session_id::uuid
                          AND ended_at IS NULL
                          AND ends_at > clock_timestamp())) AS allowed

-- name: begin_deed
-- Committed before the change is carried out: no change without a row. It does not wait for the disk,
-- and need not: the log is written in its order, so whatever commit of the change reaches the disk
-- takes this one along.
WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO headrace.audit (id, actor, via, role, action, path, address)
SELECT :id::uuid, :actor::text, :via::text, :role::text, :action::text, :path::text, :address::text
  FROM unhurried
RETURNING id

-- name: end_deed
-- What it has made or changed is known only now.
UPDATE headrace.audit
   SET outcome = :outcome::text, status = :status::integer, last_at = clock_timestamp(),
       concerns = :concerns::text
 WHERE id = :id::uuid

-- name: end_deeds
-- Several at once, a moment after their answers. Where a crash of the server takes them, the rows say
-- `begun`, as after a crash of the program.
WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
UPDATE headrace.audit AS deed
   SET outcome = ended.outcome, status = ended.status, last_at = clock_timestamp(),
       concerns = ended.concerns
  FROM unhurried,
       unnest(:ids::uuid[], :outcomes::text[], :statuses::integer[], :concerns::text[])
           AS ended (id, outcome, status, concerns)
 WHERE deed.id = ended.id

-- name: count_refusals
-- One row for refusals of one kind within a minute, so that a flood of them cannot fill the disk.
INSERT INTO headrace.audit (id, actor, via, role, action, path, address, outcome, status, count, bucket)
VALUES (:id::uuid, :actor::text, :via::text, :role::text, :action::text, :path::text, :address::text,
        'refused', :status::integer, :count::bigint, :bucket::text)
    ON CONFLICT (bucket) WHERE bucket IS NOT NULL DO UPDATE
   SET count = audit.count + excluded.count, last_at = clock_timestamp()

-- name: audit
-- Newest first. Programs of before schema 0024 append what a row concerns to its path, after an arrow.
SELECT id, at, actor, via, role::text, action, split_part(path, ' → ', 1) AS path,
       coalesce(concerns, substring(path FROM ' → (.*)$')) AS concerns,
       address, outcome, status, count, last_at
  FROM headrace.audit
 WHERE id < coalesce(:before::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
 ORDER BY id DESC
 LIMIT :limit::integer

-- name: prune_audit
-- Ids begin with the time: the oldest are at one end of the primary key.
WITH old AS MATERIALIZED (
    SELECT id FROM headrace.audit WHERE id < :before::uuid ORDER BY id LIMIT :limit::integer
), gone AS (
    DELETE FROM headrace.audit WHERE id = ANY (ARRAY(SELECT id FROM old))
)
SELECT count(*) AS rows FROM old

-- name: prune_tokens
-- Tokens that were revoked before the oldest row of the audit trail that is kept.
DELETE FROM headrace.token WHERE revoked_at < clock_timestamp() - make_interval(secs => :older_than_s::float8)

-- name: forget_sessions
-- An ended session is remembered for a day, in which its cookie is refused as one that has ended;
-- browsers have dropped it by then.
DELETE FROM headrace.session
 WHERE ends_at < clock_timestamp() - interval '1 day'
    OR ended_at < clock_timestamp() - interval '1 day'
