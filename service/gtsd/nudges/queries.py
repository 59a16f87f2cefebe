"""All SQL of nudges."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query

# Steps from zone to zone through the index of those who want messages, whatever their number.
NUDGE_ZONES: Final = Query(
    "nudge_zones",
    """
    WITH RECURSIVE zones AS (
        (SELECT timezone FROM users WHERE sms_opt_in AND phone IS NOT NULL AND is_active
            ORDER BY timezone LIMIT 1)
        UNION ALL
        SELECT (SELECT u.timezone FROM users u
            WHERE u.sms_opt_in AND u.phone IS NOT NULL AND u.is_active AND u.timezone > z.timezone
            ORDER BY u.timezone LIMIT 1)
        FROM zones z WHERE z.timezone IS NOT NULL
    )
    SELECT timezone FROM zones WHERE timezone IS NOT NULL
    """,
)

# A page of the people of a zone: those who have something to do, did not say STOP and were not
# nudged yet get their row here, and with it, alone, the right to be sent a message.
CLAIM_NUDGES: Final = Query(
    "nudges_claim",
    """
    WITH page AS (
        SELECT u.id, u.phone FROM users u
        WHERE u.timezone = %(timezone)s AND u.id > %(after)s
            AND u.sms_opt_in AND u.phone IS NOT NULL AND u.is_active
        ORDER BY u.id LIMIT %(limit)s
    ), wanted AS (
        SELECT p.id, p.phone, (
            SELECT count(*) FROM tasks t
            WHERE t.user_id = p.id AND t.due_date = %(day)s
                AND t.status IN ('pending', 'in_progress')
        ) AS tasks
        FROM page p
        WHERE NOT EXISTS (SELECT FROM sms_opt_outs o WHERE o.phone = p.phone)
            AND NOT EXISTS (
                SELECT FROM nudges n
                WHERE n.user_id = p.id AND n.day = %(day)s AND n.kind = %(kind)s
            )
    ), claimed AS (
        INSERT INTO nudges (user_id, kind, at, local_at)
        SELECT id, %(kind)s, %(now)s, %(local_at)s FROM wanted WHERE tasks > 0
        ON CONFLICT DO NOTHING
        RETURNING user_id
    )
    SELECT p.id, p.phone, w.tasks, c.user_id IS NOT NULL
    FROM page p LEFT JOIN wanted w USING (id) LEFT JOIN claimed c ON c.user_id = p.id
    ORDER BY p.id
    """,
)

NOTE_NUDGES: Final = Query(
    "nudges_note",
    """
    UPDATE nudges SET outcome = %(outcome)s
    WHERE user_id = ANY(%(users)s) AND day = %(day)s AND kind = %(kind)s
    """,
)

# They were surely not sent: whoever comes next may try.
RETURN_NUDGES: Final = Query(
    "nudges_return",
    """
    DELETE FROM nudges
    WHERE user_id = ANY(%(users)s) AND day = %(day)s AND kind = %(kind)s AND outcome IS NULL
    """,
)

OPT_OUT: Final = Query(
    "sms_opt_out",
    """
    INSERT INTO sms_opt_outs (phone) SELECT unnest(%(phones)s::text[]) ON CONFLICT DO NOTHING
    """,
)

OPT_IN: Final = Query("sms_opt_in", "DELETE FROM sms_opt_outs WHERE phone = %(phone)s")

DELETE_OLD_NUDGES: Final = Query(
    "nudges_delete_old",
    """
    WITH old AS (
        SELECT user_id, day, kind FROM nudges
        WHERE at < %(before)s::timestamptz ORDER BY at LIMIT %(limit)s
    ), gone AS (
        DELETE FROM nudges n USING old o
        WHERE n.user_id = o.user_id AND n.day = o.day AND n.kind = o.kind RETURNING 1
    )
    SELECT count(*)::int FROM gone
    """,
)
