-- Gives what the bootstrap superuser owns in one database, and the databases, to the role headrace:
-- each object that is no extension's and did not come with the cluster. As one transaction that may be
-- repeated: it takes what is left. Event triggers, foreign-data wrappers, publications and
-- subscriptions stay: an ordinary role may not own them.
-- A semicolon before an empty line ends a statement: no body below has one.
DO $$
DECLARE
  role CONSTANT oid := 'headrace'::regrole;
  boot CONSTANT oid := 10;
  normal CONSTANT oid := 16384;
  one record;
BEGIN
  SET LOCAL search_path = '';
  FOR one IN
    SELECT datname FROM pg_database
     -- By name: in single-user mode, in which ours were made, new numbers are as low as PostgreSQL's.
     WHERE datdba = boot AND datname NOT IN ('template0', 'template1')
  LOOP
    EXECUTE format('ALTER DATABASE %I OWNER TO headrace', one.datname);
  END LOOP;
  FOR one IN SELECT spcname FROM pg_tablespace WHERE spcowner = boot AND oid >= normal LOOP
    EXECUTE format('ALTER TABLESPACE %I OWNER TO headrace', one.spcname);
  END LOOP;
  FOR one IN
    WITH owned (classid, objid, objsubid) AS (
      SELECT 'pg_namespace'::regclass, oid, 0 FROM pg_namespace
       WHERE nspowner = boot AND (oid >= normal OR nspname = 'public') AND nspname !~ '^pg_(toast_)?temp_'
       UNION ALL
      -- Indexes, TOAST tables and the sequences of columns follow their tables.
      SELECT 'pg_class'::regclass, oid, 0 FROM pg_class c
       WHERE relowner = boot AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND relpersistence <> 't'
         AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                            AND c.relkind = 'S' AND d.deptype IN ('a', 'i')
                            AND d.refclassid = 'pg_class'::regclass)
       UNION ALL
      -- Row types, arrays and multiranges follow what they belong to.
      SELECT 'pg_type'::regclass, oid, 0 FROM pg_type t
       WHERE typowner = boot AND typrelid = 0 AND typtype <> 'm'
         AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
       UNION ALL
      SELECT 'pg_proc'::regclass, oid, 0 FROM pg_proc WHERE proowner = boot
       UNION ALL
      SELECT 'pg_operator'::regclass, oid, 0 FROM pg_operator WHERE oprowner = boot
       UNION ALL
      SELECT 'pg_opclass'::regclass, oid, 0 FROM pg_opclass WHERE opcowner = boot
       UNION ALL
      SELECT 'pg_opfamily'::regclass, oid, 0 FROM pg_opfamily WHERE opfowner = boot
       UNION ALL
      SELECT 'pg_collation'::regclass, oid, 0 FROM pg_collation WHERE collowner = boot
       UNION ALL
      SELECT 'pg_conversion'::regclass, oid, 0 FROM pg_conversion WHERE conowner = boot
       UNION ALL
      SELECT 'pg_ts_config'::regclass, oid, 0 FROM pg_ts_config WHERE cfgowner = boot
       UNION ALL
      SELECT 'pg_ts_dict'::regclass, oid, 0 FROM pg_ts_dict WHERE dictowner = boot
       UNION ALL
      SELECT 'pg_statistic_ext'::regclass, oid, 0 FROM pg_statistic_ext WHERE stxowner = boot
       UNION ALL
      SELECT 'pg_foreign_server'::regclass, oid, 0 FROM pg_foreign_server WHERE srvowner = boot
       UNION ALL
      SELECT 'pg_largeobject'::regclass, oid, 0 FROM pg_largeobject_metadata WHERE lomowner = boot
    )
    SELECT o.classid,
           CASE WHEN i.type IN ('function', 'procedure', 'aggregate', 'window function') THEN 'routine'
                WHEN i.type = 'composite type' THEN 'type'
                WHEN i.type = 'statistics object' THEN 'statistics'
                ELSE i.type
           END AS type,
           i.identity,
           p.oid AS routine
      FROM owned o
           CROSS JOIN LATERAL pg_identify_object(o.classid, o.objid, o.objsubid) i
           LEFT JOIN pg_proc p ON o.classid = 'pg_proc'::regclass AND p.oid = o.objid
     -- A large object's number may have been chosen.
     WHERE (o.objid >= normal OR o.classid IN ('pg_namespace'::regclass, 'pg_largeobject'::regclass))
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = o.classid AND d.objid = o.objid AND d.deptype = 'e')
     -- Schemas first: what lies in them can then be reached.
     ORDER BY o.classid <> 'pg_namespace'::regclass, o.objid
  LOOP
    EXECUTE format('ALTER %s %s OWNER TO headrace', one.type, coalesce(one.routine::regprocedure::text, one.identity));
  END LOOP;
  -- Default privileges, policies and user mappings name the role in catalogs only; trusted extensions
  -- belong to whoever made them, and no statement changes that.
  WITH acl AS (
    UPDATE pg_default_acl d
       SET defaclrole = role,
           defaclacl = (SELECT array_agg(makeaclitem(
                                 CASE e.grantee WHEN boot THEN role ELSE e.grantee END,
                                 CASE e.grantor WHEN boot THEN role ELSE e.grantor END,
                                 e.privilege_type, e.is_grantable))
                          FROM aclexplode(d.defaclacl) e)
     WHERE defaclrole = boot
    RETURNING d.oid
  ), policy AS (
    UPDATE pg_policy SET polroles = array_replace(polroles, boot, role)
     WHERE boot = ANY (polroles) RETURNING oid
  ), mapping AS (
    UPDATE pg_user_mapping SET umuser = role WHERE umuser = boot RETURNING oid
  ), extension AS (
    UPDATE pg_extension x SET extowner = role
      FROM pg_available_extension_versions v
     WHERE x.extowner = boot AND x.oid >= normal
       AND v.name = x.extname AND v.version = x.extversion AND v.trusted
    RETURNING x.oid
  )
  INSERT INTO pg_shdepend (dbid, classid, objid, objsubid, refclassid, refobjid, deptype)
  SELECT (SELECT oid FROM pg_database WHERE datname = current_database()),
         c.classid, c.oid, 0, 'pg_authid'::regclass, role, c.deptype
    FROM (SELECT 'pg_default_acl'::regclass, oid, 'o'::"char" FROM acl UNION ALL
          SELECT 'pg_policy'::regclass, oid, 'r' FROM policy UNION ALL
          SELECT 'pg_user_mapping'::regclass, oid, 'o' FROM mapping UNION ALL
          SELECT 'pg_extension'::regclass, oid, 'o' FROM extension) c (classid, oid, deptype);
END
$$;

