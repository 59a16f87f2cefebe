"""The two tables, made by the first ``acquire``: a lease is taken before any migration runs.

They are no part of the schema that migrations make, as gtsd_migrations is none.
"""

from __future__ import annotations

from gtsd.deploys.connection import Session

LEASE = "public.gtsd_deploy_lease"
LEDGER = "public.gtsd_deploys"
# Beside the owner these may look; whoever gets rights on new tables by default loses them here.
READERS = ("gtsd_readonly", "gtsd_monitor")

# "gtsd" in ASCII, and the second of its uses; the first is the migrations'.
_KEY = (0x67747364, 2)
_CREATE = """
CREATE TABLE public.gtsd_deploy_lease (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    token bigint NOT NULL DEFAULT 0,
    holder text NOT NULL DEFAULT '',
    purpose text NOT NULL DEFAULT '',
    acquired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_at timestamptz DEFAULT clock_timestamp(),
    recorded bigint NOT NULL DEFAULT 0
);
COMMENT ON COLUMN public.gtsd_deploy_lease.token IS 'only grows: an older one is stale';
COMMENT ON COLUMN public.gtsd_deploy_lease.recorded IS 'number of the last record in gtsd_deploys';
INSERT INTO public.gtsd_deploy_lease DEFAULT VALUES;
CREATE TABLE public.gtsd_deploys (
    seq bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    event text NOT NULL,
    version text NOT NULL,
    previous text,
    holder text NOT NULL,
    token bigint NOT NULL,
    details jsonb NOT NULL,
    previous_hash text NOT NULL,
    hash text NOT NULL
);
CREATE OR REPLACE FUNCTION public.gtsd_deploys_only_grows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'gtsd_deploys only grows: % is refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON public.gtsd_deploys
    FOR EACH STATEMENT EXECUTE FUNCTION public.gtsd_deploys_only_grows();
ALTER TABLE public.gtsd_deploys ENABLE ALWAYS TRIGGER only_grows
"""
# Not to_regclass(): in a transaction it remembers that there was none before it waited for a lock.
_EXIST = "SELECT FROM pg_tables WHERE schemaname = 'public' AND tablename = 'gtsd_deploys'"
_GRANTEES = """
SELECT DISTINCT grantee.rolname
FROM pg_class c
CROSS JOIN LATERAL aclexplode(c.relacl) acl
JOIN pg_roles grantee ON grantee.oid = acl.grantee
WHERE c.oid = ANY (%s::regclass[]) AND acl.grantee <> c.relowner
"""
_REVOKE = "REVOKE ALL ON public.gtsd_deploy_lease, public.gtsd_deploys FROM {}"
_GRANT = "GRANT SELECT ON public.gtsd_deploy_lease, public.gtsd_deploys TO {}"
_PRESENT = "SELECT rolname FROM pg_roles WHERE rolname = ANY (%s) ORDER BY 1"


def exist(session: Session) -> bool:
    """Whether a lease has ever been asked for in this database."""
    return bool(session.rows(_EXIST))


def prepare(session: Session) -> None:
    """Make the tables where they are missing; of many at once, one does."""
    if exist(session):
        return
    session.rows("SELECT pg_advisory_xact_lock(%s, %s)", _KEY)
    if exist(session):
        return
    session.run(_CREATE)
    _give_rights(session)


def _give_rights(session: Session) -> None:
    tables = [LEASE, LEDGER]
    for (role,) in session.rows(_GRANTEES, [tables]):
        session.run_for(_REVOKE, role)
    session.run("REVOKE ALL ON public.gtsd_deploy_lease, public.gtsd_deploys FROM PUBLIC")
    for (role,) in session.rows(_PRESENT, [list(READERS)]):
        session.run_for(_GRANT, role)
