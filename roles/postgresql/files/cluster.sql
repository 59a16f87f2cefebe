-- What is, of the whole cluster: roles with their settings, databases with their rights, and how it runs.
SELECT json_build_object(
  'roles', (
    SELECT json_object_agg(r.rolname, json_build_object(
      'super', r.rolsuper, 'createdb', r.rolcreatedb, 'createrole', r.rolcreaterole,
      'replication', r.rolreplication, 'bypassrls', r.rolbypassrls, 'login', r.rolcanlogin,
      'inherit', r.rolinherit, 'limit', r.rolconnlimit, 'verifier', r.rolpassword,
      'settings', (SELECT s.setconfig FROM pg_db_role_setting s WHERE s.setrole = r.oid AND s.setdatabase = 0),
      'member_of', (SELECT json_agg(g.rolname) FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
                    WHERE m.member = r.oid)))
    FROM pg_authid r WHERE r.rolname !~ '^pg_'),
  'databases', (
    SELECT json_object_agg(d.datname, json_build_object(
      'owner', pg_get_userbyid(d.datdba),
      'acl', (SELECT json_agg(json_build_array(CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
                                               a.privilege_type))
              FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a)))
    FROM pg_database d),
  'extensions', (SELECT json_agg(extname) FROM pg_extension),
  'standbys', (SELECT json_object_agg(application_name, state) FROM pg_stat_replication),
  'parameters', (SELECT json_object_agg(name, setting) FROM pg_settings
                 WHERE name IN ('ssl', 'data_checksums', 'password_encryption', 'synchronous_standby_names'))
) AS state
