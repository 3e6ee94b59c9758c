-- The role that everybody works with, made while the server is in single-user mode, by the bootstrap
-- superuser, as one transaction: interrupted, nothing of it is there. Where the bootstrap superuser
-- still has the role's name (homes of earlier versions), it gives it up: it can neither lose SUPERUSER
-- nor rename itself while it is the session's user, so a second superuser does that, and is gone again.
-- A semicolon before an empty line ends a statement: no body below has one.
BEGIN;

CREATE ROLE headrace_handover SUPERUSER;

SET SESSION AUTHORIZATION headrace_handover;

DO $$
DECLARE
  other text;
BEGIN
  IF (SELECT rolname FROM pg_authid WHERE oid = 10) = 'headrace' THEN
    ALTER ROLE headrace RENAME TO headrace_bootstrap;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_authid WHERE rolname = 'headrace') THEN
    CREATE ROLE headrace LOGIN;
  END IF;
  ALTER ROLE headrace NOSUPERUSER NOREPLICATION NOBYPASSRLS LOGIN CREATEDB CREATEROLE;
  GRANT pg_checkpoint, pg_monitor, pg_maintain TO headrace;
  -- What was set for the role by hand stays set for it.
  UPDATE pg_db_role_setting SET setrole = 'headrace'::regrole WHERE setrole = 10;
  IF NOT EXISTS (SELECT FROM pg_db_role_setting, unnest(setconfig) line
                  WHERE setrole = 'headrace'::regrole AND setdatabase = 0 AND line LIKE 'search_path=%') THEN
    ALTER ROLE headrace SET search_path = public;
  END IF;
  -- What it makes a role for, it may do in that role's name.
  ALTER ROLE headrace SET createrole_self_grant = 'set, inherit';
  -- Who was a member of it goes on being one, and is none of the superuser.
  FOR other IN
    SELECT m.rolname FROM pg_auth_members g JOIN pg_authid m ON m.oid = g.member
     WHERE g.roleid = 10 AND m.rolname <> 'headrace'
  LOOP
    EXECUTE format('GRANT headrace TO %I', other);
    EXECUTE format('REVOKE headrace_bootstrap FROM %I', other);
  END LOOP;
  -- The roles that it has made stay its own, but for those that open the machine or are its members.
  FOR other IN
    SELECT r.rolname
      FROM pg_authid r
     WHERE r.rolname !~ '^pg_'
       AND r.rolname NOT IN ('headrace', 'headrace_handover')
       AND NOT EXISTS (
         WITH RECURSIVE above (oid) AS (
           SELECT r.oid
            UNION
           SELECT m.roleid FROM pg_auth_members m JOIN above ON m.member = above.oid
         )
         SELECT
           FROM above JOIN pg_authid a ON a.oid = above.oid
          WHERE a.rolsuper OR a.rolreplication OR a.rolbypassrls
             OR a.rolname IN ('headrace', 'pg_execute_server_program',
                              'pg_read_server_files', 'pg_write_server_files')
       )
  LOOP
    EXECUTE format('GRANT %I TO headrace WITH ADMIN TRUE, INHERIT TRUE, SET TRUE', other);
  END LOOP;
END
$$;

SET SESSION AUTHORIZATION headrace_bootstrap;

DROP ROLE headrace_handover;

COMMIT;

