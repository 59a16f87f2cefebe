"""All SQL of what accounts are mailed: one-time tokens, and new places."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query

# No row for an address without an active account, for one that was mailed often enough, and for a
# token that is there already: then the mail was posted with it, by the same job. The name is told
# only where the address is known to be its owner's.
ADD_ACCOUNT_TOKEN: Final = Query(
    "account_token_add",
    """
    INSERT INTO account_tokens (user_id, token_hash, purpose, email, created_at, expires_at)
    SELECT u.id, sha256(%(secret)s), %(purpose)s, u.email, %(now)s, %(ends)s
    FROM users u
    WHERE lower(u.email) = lower(%(email)s) AND u.is_active AND %(most)s > (
        SELECT count(*) FROM account_tokens t
        WHERE t.user_id = u.id AND t.purpose = %(purpose)s
            AND t.created_at > %(now)s::timestamptz - interval '1 hour'
    )
    FOR KEY SHARE
    ON CONFLICT (user_id, token_hash) DO NOTHING
    RETURNING user_id, email, (
        SELECT CASE WHEN u.email_verified_at IS NULL THEN '' ELSE u.name END
        FROM users u WHERE u.id = account_tokens.user_id
    )
    """,
)

USE_ACCOUNT_TOKEN: Final = Query(
    "account_token_use",
    """
    UPDATE account_tokens SET used_at = now()
    WHERE user_id = %(user_id)s AND token_hash = %(token_hash)s AND purpose = %(purpose)s
        AND used_at IS NULL AND expires_at > %(now)s
    RETURNING email
    """,
)

VOID_ACCOUNT_TOKENS: Final = Query(
    "account_tokens_void",
    """
    UPDATE account_tokens SET used_at = now()
    WHERE user_id = %(user_id)s AND purpose = %(purpose)s AND used_at IS NULL
    """,
)

CONTACT: Final = Query(
    "contact",
    """
    SELECT email, email_verified_at IS NOT NULL, name, timezone FROM users
    WHERE id = %(user_id)s
    """,
)

# True for a place that is new, where the account has others. Those not seen for a year are
# forgotten on the way, so that there are never many.
NOTE_PLACE: Final = Query(
    "place_note",
    """
    WITH old AS (
        DELETE FROM sign_in_places
        WHERE user_id = %(user_id)s AND seen_at < %(now)s::timestamptz - interval '1 year'
            AND place <> %(place)s
    ), seen_again AS (
        UPDATE sign_in_places SET seen_at = %(now)s
        WHERE user_id = %(user_id)s AND place = %(place)s
    ), added AS (
        INSERT INTO sign_in_places (user_id, place, seen_at)
        VALUES (%(user_id)s, %(place)s, %(now)s)
        ON CONFLICT (user_id, place) DO NOTHING RETURNING 1
    )
    SELECT EXISTS (SELECT FROM added)
        AND EXISTS (SELECT FROM sign_in_places WHERE user_id = %(user_id)s)
    """,
)

DELETE_EXPIRED_MAILED: Final = Query(
    "mailed_delete_expired",
    """
    WITH expired AS (
        SELECT user_id, token_hash FROM account_tokens
        WHERE expires_at < %(now)s::timestamptz ORDER BY expires_at LIMIT %(limit)s
    ), gone AS (
        DELETE FROM account_tokens t USING expired e
        WHERE t.user_id = e.user_id AND t.token_hash = e.token_hash RETURNING 1
    )
    SELECT count(*)::int FROM gone
    """,
)
