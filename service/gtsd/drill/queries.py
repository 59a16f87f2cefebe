"""All SQL of the drill. What is read is read from the tables themselves, not through indexes."""

from __future__ import annotations

from typing import Final

# Text of a value depends on these; planner switches keep an index from vouching for its table.
SESSION: Final = """
SET search_path TO pg_catalog;
SET timezone TO 'GMT'; SET datestyle TO 'ISO, YMD'; SET intervalstyle TO 'iso_8601';
SET bytea_output TO 'hex'; SET extra_float_digits TO 1; SET xmlbinary TO 'base64';
SET enable_indexscan TO off; SET enable_indexonlyscan TO off; SET enable_bitmapscan TO off;
SET constraint_exclusion TO off; SET row_security TO off; SET statement_timeout TO 0
"""
# The first two stay what they were when recovery ended.
REPLAYED: Final = """
SELECT pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp(),
       (SELECT sum(pg_database_size(oid))::bigint FROM pg_database)
"""
# Where a server is, be it a primary or a standby.
POSITION: Final = """
SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_insert_lsn() END)::text
"""
_OWN: Final = """
n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
AND n.nspname NOT LIKE 'pg\\_temp%'
AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                AND d.objid = c.oid AND d.deptype = 'e')
"""
# Unlogged and temporary tables are not in WAL, and empty after any restore.
TABLES: Final = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {_OWN} ORDER BY 1
"""
# Whether the order of rows is another one, says nothing; whether one of them is, changes the sum.
TABLE_HASH: Final = """
SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text FROM ONLY {} t
"""
ROW_HASHES: Final = "SELECT hashtextextended(t::text, 0) FROM ONLY {} t ORDER BY 1"
# One that was not validated promises nothing of old rows.
CHECKS: Final = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), k.conname,
       'SELECT count(*) FROM ONLY ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
       || ' WHERE NOT (' || pg_get_expr(k.conbin, k.conrelid) || ')'
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'c' AND k.convalidated AND c.relkind = 'r' AND {_OWN} ORDER BY 1, 2
"""
# Rows that name another row which is not there. The parts of a partitioned key are its own rows.
FOREIGN_KEYS: Final = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), k.conname,
       'SELECT count(*) FROM ' || k.conrelid::regclass || ' child WHERE '
       || string_agg('child.' || quote_ident(own.attname) || ' IS NOT NULL', ' AND ')
       || ' AND NOT EXISTS (SELECT FROM ' || k.confrelid::regclass || ' parent WHERE '
       || string_agg('parent.' || quote_ident(other.attname) || ' OPERATOR(' || opn.nspname || '.'
                     || op.oprname || ') child.' || quote_ident(own.attname), ' AND ') || ')'
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) AS pair (own, other, op)
JOIN pg_attribute own ON (own.attrelid, own.attnum) = (k.conrelid, pair.own)
JOIN pg_attribute other ON (other.attrelid, other.attnum) = (k.confrelid, pair.other)
JOIN pg_operator op ON op.oid = pair.op JOIN pg_namespace opn ON opn.oid = op.oprnamespace
WHERE k.contype = 'f' AND k.convalidated AND k.conparentid = 0 AND {_OWN}
GROUP BY n.nspname, c.relname, k.oid, k.conname, k.conrelid, k.confrelid ORDER BY 1, 2
"""
# Two rows of one key; primary keys, unique constraints, partial and expression indexes alike.
UNIQUE: Final = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), i.relname,
       'SELECT count(*) FROM (SELECT FROM ' || x.indrelid::regclass || ' WHERE '
       || coalesce('(' || pg_get_expr(x.indpred, x.indrelid) || ') AND ', '')
       || 'num_nulls(' || keys.list || ') = 0 GROUP BY ' || keys.list
       || ' HAVING count(*) > 1) twice'
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT string_agg('(' || pg_get_indexdef(x.indexrelid, place, false) || ')', ', ') AS list
    FROM generate_series(1, x.indnkeyatts) AS place) AS keys
WHERE x.indisunique AND x.indisvalid AND c.relkind = 'r' AND {_OWN} ORDER BY 1, 2
"""
# num_nulls, since the planner believes a NOT NULL column without looking.
NOT_NULL: Final = f"""
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'NOT NULL',
       'SELECT count(*) FROM ONLY ' || quote_ident(n.nspname) || '.' || quote_ident(c.relname)
       || ' WHERE num_nulls(' || string_agg(quote_ident(a.attname), ', ') || ') > 0'
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnotnull AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND {_OWN}
GROUP BY n.nspname, c.relname ORDER BY 1
"""
