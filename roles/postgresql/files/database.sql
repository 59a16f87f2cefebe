-- What is, inside the database: the schema's owner and rights, and what the owner's next things will give.
SELECT json_build_object(
  'schema', (
    SELECT json_build_object('owner', pg_get_userbyid(n.nspowner), 'acl', (
      SELECT json_agg(json_build_array(CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
                                       a.privilege_type))
      FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a))
    FROM pg_namespace n WHERE n.nspname = 'public'),
  'default', coalesce((
    SELECT json_object_agg(kind, acl) FROM (
      SELECT CASE d.defaclobjtype WHEN 'r' THEN 'tables' ELSE 'sequences' END AS kind,
             json_agg(json_build_array(CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee) END,
                                       a.privilege_type)) AS acl
      FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) a
      WHERE d.defaclobjtype IN ('r', 'S') AND d.defaclnamespace = 'public'::regnamespace
        AND pg_get_userbyid(d.defaclrole) = %(owner)s
      GROUP BY 1) found), '{}'::json)
) AS state
