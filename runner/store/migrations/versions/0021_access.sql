-- What a token may do. Each role may do what the one before it may.
CREATE DOMAIN headrace.access_role AS text CHECK (VALUE IN ('viewer', 'operator', 'admin'));

-- A token is 256 random bits: its SHA-256 cannot be turned back or guessed, so no slow hash is needed,
-- and a request is answered after one look into an index.
CREATE TABLE headrace.token (
    id            uuid PRIMARY KEY,
    name          text NOT NULL,
    role          headrace.access_role NOT NULL,
    hash          text NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$'),
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at  timestamptz,
    revoked_at    timestamptz
);
-- The name of a revoked token may be given again; its row stays, for the audit trail's sake.
CREATE UNIQUE INDEX token_name ON headrace.token (name) WHERE revoked_at IS NULL;

-- Sessions of the page, here and not in a signed cookie: one that has ended, or whose token was
-- revoked, is over at once in every web process. An ended one is kept for a while, so that its cookie
-- is known and refused, where an unknown one is as good as none.
CREATE TABLE headrace.session (
    id          uuid PRIMARY KEY,
    hash        text NOT NULL UNIQUE CHECK (hash ~ '^[0-9a-f]{64}$'),
    token_id    uuid REFERENCES headrace.token ON DELETE CASCADE,
    proof       text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at     timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK ((token_id IS NULL) <> (proof IS NULL))
);
CREATE INDEX session_ends ON headrace.session (ends_at);

-- Who did what. A change is written before it is carried out, and its outcome afterwards: a crash
-- between leaves a row that says `begun`, never a change without a row.
CREATE TABLE headrace.audit (
    id       uuid PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor    text NOT NULL,
    via      text NOT NULL CHECK (via IN ('token', 'session', 'loopback', 'command', 'nobody')),
    role     headrace.access_role,
    action   text NOT NULL,
    path     text NOT NULL,
    address  text,
    outcome  text NOT NULL DEFAULT 'begun' CHECK (outcome IN ('begun', 'done', 'failed', 'refused')),
    status   integer,
    count    bigint NOT NULL DEFAULT 1,
    last_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    bucket   text
);
-- Refusals of one kind within a minute are one row, whichever web process refused.
CREATE UNIQUE INDEX audit_bucket ON headrace.audit (bucket) WHERE bucket IS NOT NULL;

COMMENT ON TABLE headrace.token IS 'Tokens with a role, as `headrace token create` makes them; the token itself is not stored.';
COMMENT ON COLUMN headrace.token.hash IS 'SHA-256 of the token, in hexadecimal digits.';
COMMENT ON COLUMN headrace.token.last_used_at IS 'When it was last seen, to the minute.';
COMMENT ON TABLE headrace.session IS 'Sessions of the web page.';
COMMENT ON COLUMN headrace.session.hash IS 'SHA-256 of the cookie''s value, in hexadecimal digits.';
COMMENT ON COLUMN headrace.session.token_id IS 'The token that it was opened with; null: the one of HEADRACE_API_TOKEN or HEADRACE_HOME/token.';
COMMENT ON COLUMN headrace.session.proof IS 'A digest of that latter token: with another one the session is over.';
COMMENT ON TABLE headrace.audit IS 'Who did what: each change that a person or a program asked for, and each refusal.';
COMMENT ON COLUMN headrace.audit.actor IS 'The token''s name, or the operating system''s user.';
COMMENT ON COLUMN headrace.audit.via IS 'How the actor was known: a token, a session of the page, the socket''s owner (loopback), the command line; or not at all (nobody).';
COMMENT ON COLUMN headrace.audit.action IS 'What was asked for, in the words of the command line.';
COMMENT ON COLUMN headrace.audit.path IS 'The path of the request, or the command.';
COMMENT ON COLUMN headrace.audit.address IS 'Where it came from: an IP address, or the host of the command line.';
COMMENT ON COLUMN headrace.audit.outcome IS 'begun (and never heard of again), done, failed, refused.';
COMMENT ON COLUMN headrace.audit.status IS 'The HTTP status, or the exit code of the command.';
COMMENT ON COLUMN headrace.audit.count IS 'How many refusals the row stands for, from `at` to `last_at`.';
COMMENT ON COLUMN headrace.audit.bucket IS 'What refusals that share the row have in common.';
