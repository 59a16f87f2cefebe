"""All SQL of accounts, sessions and their tokens."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query
from gtsd.stores.sql import iso

_USER: Final = f"""
    SELECT row_to_json(shown)::text FROM (
        SELECT u.id, u.email, u.name, u.phone, u.sms_opt_in AS "smsOptIn", u.timezone,
            u.is_active AS "isActive", u.email_verified_at IS NOT NULL AS "emailVerified",
            {iso("u.email_verified_at")} AS "emailVerifiedAt",
            {iso("u.last_login_at")} AS "lastLoginAt",
            u.onboarded_at IS NOT NULL AS "hasCompletedOnboarding",
            u.dietary_preferences AS "dietaryPreferences", u.allergies,
            u.meals_per_day AS "mealsPerDay",
            {iso("u.created_at")} AS "createdAt", {iso("u.updated_at")} AS "updatedAt"
    ) AS shown
"""

# One statement, so that there is never an account without its streak: two requests that come
# right after sign-up find everything they need.
ADD_USER: Final = Query(
    "user_add",
    f"""
    WITH u AS (
        INSERT INTO users
            (email, password_hash, name, phone, timezone, closed_day, last_login_at)
        VALUES (%(email)s, %(password_hash)s, %(name)s, %(phone)s, %(timezone)s,
            %(yesterday)s::date, now())
        RETURNING *
    ), streak AS (
        INSERT INTO streaks (user_id) SELECT id FROM u
    )
    SELECT u.id, ({_USER}) FROM u
    """,
)

USER: Final = Query("user", f"SELECT ({_USER}) FROM users u WHERE id = %(user_id)s")

ACCOUNT: Final = Query(
    "account",
    "SELECT id, timezone, is_active FROM users WHERE id = %(user_id)s",
    prepared=True,
)

CREDENTIALS: Final = Query(
    "credentials",
    """
    SELECT id, password_hash, is_active, timezone FROM users
    WHERE lower(email) = lower(%(email)s)
    """,
)

PASSWORD_HASH: Final = Query(
    "password_hash", "SELECT password_hash FROM users WHERE id = %(user_id)s"
)

NOTE_LOGIN: Final = Query(
    "login_note",
    f"""
    WITH u AS (
        UPDATE users SET last_login_at = now(),
            password_hash = coalesce(%(password_hash)s, password_hash)
        WHERE id = %(user_id)s AND is_active RETURNING *
    )
    SELECT ({_USER}) FROM u
    """,
)

CHANGE_USER: Final = Query(
    "user_change",
    f"""
    WITH u AS (
        UPDATE users SET
            name = coalesce(%(name)s, name),
            email_verified_at = CASE
                WHEN lower(%(email)s) <> lower(email) THEN NULL ELSE email_verified_at END,
            email = coalesce(%(email)s, email),
            phone = CASE WHEN %(sets_phone)s THEN %(phone)s ELSE phone END,
            timezone = coalesce(%(timezone)s, timezone),
            sms_opt_in = coalesce(%(sms_opt_in)s, sms_opt_in),
            updated_at = now()
        WHERE id = %(user_id)s RETURNING *
    )
    SELECT ({_USER}) FROM u
    """,
)

SET_PASSWORD: Final = Query(
    "password_set",
    """
    UPDATE users SET password_hash = %(password_hash)s, updated_at = now()
    WHERE id = %(user_id)s
    """,
)

# Rows of the user's own tables go by ON DELETE CASCADE. Writes of tasks lock the streak first and
# then rows that refer to the account: in any other order the two would lock each other out.
DELETE_USER: Final = Query(
    "user_delete",
    """
    SELECT 1 FROM streaks WHERE user_id = %(user_id)s FOR UPDATE;
    WITH keys AS (DELETE FROM idempotency_keys WHERE user_id = %(user_id)s)
    DELETE FROM users WHERE id = %(user_id)s
    """,
)

ADD_SESSION: Final = Query(
    "session_add",
    """
    WITH session AS (
        INSERT INTO sessions (user_id, user_agent, address)
        VALUES (%(user_id)s, %(user_agent)s, %(address)s::inet) RETURNING id
    )
    INSERT INTO refresh_tokens (user_id, token_hash, session_id, issued_at, expires_at)
    SELECT %(user_id)s, %(token_hash)s, id,
        %(now)s, %(now)s::timestamptz + interval '7 days' FROM session
    RETURNING extract(epoch FROM issued_at)::float8
    """,
)

# Locks the token: of parallel uses the second one waits here and then finds it spent.
# `overlapped` tells a use that began before the token was spent from a retry that came after it;
# both times are the database's, so hosts need not agree on theirs. The statement began when it was
# sent; clock_timestamp() is read only after the wait for the lock.
REFRESH_TOKEN: Final = Query(
    "refresh_token",
    """
    SELECT t.session_id, t.spent_at IS NOT NULL, t.successor_salt,
        t.expires_at > %(now)s AND s.revoked_at IS NULL,
        t.spent_at > clock_timestamp() - interval '10 seconds',
        t.spent_at > statement_timestamp() - make_interval(secs => %(running_s)s),
        u.is_active, u.timezone
    FROM refresh_tokens t
    JOIN sessions s ON s.user_id = t.user_id AND s.id = t.session_id
    JOIN users u ON u.id = t.user_id
    WHERE t.user_id = %(user_id)s AND t.token_hash = %(token_hash)s
    FOR UPDATE OF t
    """,
)

SPEND_REFRESH_TOKEN: Final = Query(
    "refresh_token_spend",
    """
    WITH spent AS (
        UPDATE refresh_tokens SET spent_at = clock_timestamp(), successor_salt = %(salt)s
        WHERE user_id = %(user_id)s AND token_hash = %(token_hash)s
    ), used AS (
        UPDATE sessions SET last_used_at = now()
        WHERE user_id = %(user_id)s AND id = %(session_id)s
    )
    INSERT INTO refresh_tokens (user_id, token_hash, session_id, issued_at, expires_at)
    VALUES (%(user_id)s, %(successor_hash)s, %(session_id)s,
        %(now)s, %(now)s::timestamptz + interval '7 days')
    RETURNING extract(epoch FROM issued_at)::float8
    """,
)

UNSPENT_REFRESH_TOKEN: Final = Query(
    "refresh_token_unspent",
    """
    SELECT extract(epoch FROM issued_at)::float8 FROM refresh_tokens
    WHERE user_id = %(user_id)s AND token_hash = %(token_hash)s AND spent_at IS NULL
    """,
)

REVOKE_SESSION: Final = Query(
    "session_revoke",
    """
    UPDATE sessions SET revoked_at = now()
    WHERE user_id = %(user_id)s AND id = %(session_id)s AND revoked_at IS NULL
    """,
)

REVOKE_SESSION_OF_TOKEN: Final = Query(
    "session_revoke_by_token",
    """
    UPDATE sessions s SET revoked_at = now()
    FROM refresh_tokens t
    WHERE t.user_id = %(user_id)s AND t.token_hash = %(token_hash)s
        AND s.user_id = t.user_id AND s.id = t.session_id AND s.revoked_at IS NULL
    """,
)

# The one named by the access token's jti stays.
REVOKE_OTHER_SESSIONS: Final = Query(
    "sessions_revoke_others",
    """
    UPDATE sessions SET revoked_at = now()
    WHERE user_id = %(user_id)s AND revoked_at IS NULL AND id IS DISTINCT FROM (
        SELECT session_id FROM refresh_tokens
        WHERE user_id = %(user_id)s AND token_hash = %(token_hash)s
    )
    """,
)

SESSIONS: Final = Query(
    "sessions",
    f"""
    SELECT json_build_object('sessions', coalesce(json_agg(shown), '[]'))::text FROM (
        SELECT s.id, s.user_agent AS "userAgent", host(s.address) AS address,
            {iso("s.created_at")} AS "createdAt", {iso("s.last_used_at")} AS "lastUsedAt",
            s.id IS NOT DISTINCT FROM (
                SELECT session_id FROM refresh_tokens
                WHERE user_id = %(user_id)s AND token_hash = %(token_hash)s
            ) AS current
        FROM sessions s
        WHERE s.user_id = %(user_id)s AND s.revoked_at IS NULL
            AND s.last_used_at > now() - interval '7 days'
        ORDER BY s.last_used_at DESC LIMIT 100
    ) AS shown
    """,
)

VERIFY_EMAIL: Final = Query(
    "email_verify",
    f"""
    WITH u AS (
        UPDATE users SET email_verified_at = coalesce(email_verified_at, now()), updated_at = now()
        WHERE id = %(user_id)s AND lower(email) = lower(%(email)s) RETURNING *
    )
    SELECT ({_USER}) FROM u
    """,
)

# With the last of its tokens a session goes, too.
DELETE_EXPIRED_REFRESH: Final = Query(
    "refresh_delete_expired",
    """
    WITH expired AS (
        SELECT user_id, token_hash FROM refresh_tokens
        WHERE expires_at < %(now)s::timestamptz ORDER BY expires_at LIMIT %(limit)s
    ), gone AS (
        DELETE FROM refresh_tokens t USING expired e
        WHERE t.user_id = e.user_id AND t.token_hash = e.token_hash
        RETURNING t.user_id, t.session_id
    ), ended AS (
        DELETE FROM sessions s USING (SELECT DISTINCT user_id, session_id FROM gone) g
        WHERE s.user_id = g.user_id AND s.id = g.session_id AND NOT EXISTS (
            SELECT FROM refresh_tokens t
            WHERE t.user_id = s.user_id AND t.session_id = s.id
                AND t.expires_at >= %(now)s::timestamptz)
    )
    SELECT count(*)::int FROM gone
    """,
)
