"""All SQL of streaks.

A day counts when completed >= threshold x (due - skipped) and something was to do. The runs of
days are kept by counting islands: consecutive days minus their row numbers are constant.
"""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query
from gtsd.stores.sql import pagination

# The run that ends today or, while today may still be done, yesterday.
CURRENT: Final = """
    coalesce(
        nullif((SELECT run FROM streak_days
            WHERE user_id = %(user_id)s AND day = %(today)s::date), 0),
        (SELECT run FROM streak_days
            WHERE user_id = %(user_id)s AND day = %(today)s::date - 1),
        0)
"""

STREAK: Final = f"""
    SELECT json_build_object('current', now_.current,
        'longest', greatest(s.longest, now_.current), 'totalDays', coalesce(s.total_days, 0))
    FROM (SELECT {CURRENT} AS current) now_
    LEFT JOIN streaks s ON s.user_id = %(user_id)s
"""

_COMPLIANCE: Final = "round(completed::numeric / nullif(due - skipped, 0), 2)"

_DAY: Final = f"""
    SELECT json_build_object('date', %(day)s::date, 'due', due, 'completed', completed,
        'skipped', skipped, 'compliance', {_COMPLIANCE}, 'compliant', compliant)
"""

_COMPLIANT: Final = "due > skipped AND completed >= u.compliance_threshold * (due - skipped)"

_JUDGED: Final = f"""
    judged AS (
        SELECT c.*, u.compliance_threshold AS threshold,
            {_COMPLIANT} AS compliant
        FROM counted c, users u WHERE u.id = %(user_id)s
    )
"""


def _counted(day: str) -> str:
    """SQL that counts and judges a day, an expression."""
    return f"""
    counted AS (
        SELECT count(*)::int AS due,
            count(*) FILTER (WHERE status = 'completed')::int AS completed,
            count(*) FILTER (WHERE status = 'skipped')::int AS skipped
        FROM tasks WHERE user_id = %(user_id)s AND due_date = {day}
    ), {_JUDGED}
    """


_GIVEN_DAY: Final = "%(day)s::date"
_COUNTED: Final = _counted(_GIVEN_DAY)

# Two statements: the second one sees what others have committed while the first one waited. No row
# means that the account has gone.
LOCK: Final = Query(
    "streak_lock",
    f"""
    SELECT 1 FROM streaks WHERE user_id = %(user_id)s FOR UPDATE;
    SELECT {CURRENT} FROM streaks WHERE user_id = %(user_id)s
    """,
)

# Of many people at once, in one order for all who do so. Those whose account has gone are missing.
LOCK_ALL: Final = Query(
    "streak_lock_all",
    """
    SELECT user_id FROM streaks WHERE user_id = ANY(%(user_ids)s) ORDER BY user_id FOR UPDATE
    """,
)


def _count_runs(only: str = "TRUE") -> str:
    """From all compliant days the runs, then the totals up to today."""
    return f"""
    WITH islands AS (
        SELECT day, day - (row_number() OVER (ORDER BY day))::int AS island
        FROM streak_days WHERE user_id = %(user_id)s AND compliant AND {only}
    ), runs AS (
        SELECT day, row_number() OVER (PARTITION BY island ORDER BY day)::int AS run FROM islands
    )
    UPDATE streak_days d SET run = runs.run
    FROM runs WHERE d.user_id = %(user_id)s AND d.day = runs.day AND d.run <> runs.run;

    UPDATE streaks SET updated_at = now(),
        longest = (SELECT coalesce(max(run), 0) FROM streak_days
            WHERE user_id = %(user_id)s AND day <= %(today)s::date),
        total_days = (SELECT count(*) FROM streak_days
            WHERE user_id = %(user_id)s AND compliant AND day <= %(today)s::date)
    WHERE user_id = %(user_id)s AND {only}
    """


def count_day_if(day: str) -> str:
    """SQL that counts a day, an expression, again; nothing where that is NULL. The lock is held."""
    return f"""
    WITH {_counted(day)}
    INSERT INTO streak_days (user_id, day, due, completed, skipped, compliant)
    SELECT %(user_id)s, {day}, due, completed, skipped, compliant FROM judged
    WHERE {day} IS NOT NULL
    ON CONFLICT (user_id, day) DO UPDATE
    SET due = EXCLUDED.due, completed = EXCLUDED.completed, skipped = EXCLUDED.skipped,
        compliant = EXCLUDED.compliant, updated_at = now(),
        run = CASE WHEN EXCLUDED.compliant THEN streak_days.run ELSE 0 END;
    {_count_runs(f"{day} IS NOT NULL")}
    """


# Counts a day again. The caller holds the lock. Answers with the streak after it.
COUNT_DAY: Final = Query(
    "streak_count_day",
    f"""
    {count_day_if(_GIVEN_DAY)};
    SELECT (SELECT {CURRENT}), ({STREAK})::text
    """,
)

# Counts of many people, each from a day on, what was counted before: a series or a plan that begins
# or ends changes many days at once. Where nothing was counted, nothing is to be done.
_GIVEN: Final = """
    given AS (
        SELECT g.* FROM unnest(%(user_ids)s::bigint[], %(days)s::date[], %(todays)s::date[])
            AS g (user_id, day, today)
        WHERE EXISTS (
            SELECT FROM streak_days d WHERE d.user_id = g.user_id AND d.day >= g.day)
    )
"""

COUNT_ALL_FROM: Final = Query(
    "streak_count_all_from",
    f"""
    WITH {_GIVEN}, counted AS (
        SELECT d.user_id, d.day, count(t.id)::int AS due,
            (count(*) FILTER (WHERE t.status = 'completed'))::int AS completed,
            (count(*) FILTER (WHERE t.status = 'skipped'))::int AS skipped
        FROM given g
        JOIN streak_days d ON d.user_id = g.user_id AND d.day >= g.day
        LEFT JOIN tasks t ON t.user_id = d.user_id AND t.due_date = d.day
        GROUP BY d.user_id, d.day
    ), judged AS (
        SELECT c.*, {_COMPLIANT} AS compliant FROM counted c JOIN users u ON u.id = c.user_id
    )
    UPDATE streak_days d
    SET due = j.due, completed = j.completed, skipped = j.skipped, compliant = j.compliant,
        updated_at = now(), run = CASE WHEN j.compliant THEN d.run ELSE 0 END
    FROM judged j WHERE d.user_id = j.user_id AND d.day = j.day
        AND (d.due, d.completed, d.skipped) IS DISTINCT FROM (j.due, j.completed, j.skipped);

    WITH {_GIVEN}, islands AS (
        SELECT d.user_id, d.day,
            d.day - (row_number() OVER (PARTITION BY d.user_id ORDER BY d.day))::int AS island
        FROM given g JOIN streak_days d ON d.user_id = g.user_id AND d.compliant
    ), runs AS (
        SELECT user_id, day,
            row_number() OVER (PARTITION BY user_id, island ORDER BY day)::int AS run
        FROM islands
    )
    UPDATE streak_days d SET run = runs.run
    FROM runs WHERE d.user_id = runs.user_id AND d.day = runs.day AND d.run <> runs.run;

    WITH {_GIVEN}
    UPDATE streaks s SET updated_at = now(),
        longest = (SELECT coalesce(max(run), 0) FROM streak_days d
            WHERE d.user_id = g.user_id AND d.day <= g.today),
        total_days = (SELECT count(*) FROM streak_days d
            WHERE d.user_id = g.user_id AND d.compliant AND d.day <= g.today)
    FROM given g WHERE s.user_id = g.user_id
    """,
)

DAY: Final = Query("streak_day", f"WITH {_COUNTED} SELECT ({_DAY} FROM judged)::text")

MINE: Final = Query(
    "streak_mine",
    f"""
    WITH {_COUNTED}
    SELECT json_build_object('current', now_.current,
        'longest', greatest(s.longest, now_.current), 'totalDays', s.total_days,
        'threshold', threshold, 'today', ({_DAY}))::text
    FROM (SELECT {CURRENT} AS current) now_, judged, streaks s
    WHERE s.user_id = %(user_id)s
    """,
)

HISTORY: Final = Query(
    "streak_history",
    f"""
    WITH days AS (
        SELECT * FROM streak_days WHERE user_id = %(user_id)s
            AND (%(from)s::date IS NULL OR day >= %(from)s::date)
            AND (%(to)s::date IS NULL OR day <= %(to)s::date)
    ), page AS (
        SELECT day AS date, due, completed, skipped, {_COMPLIANCE} AS compliance, compliant, run
        FROM days ORDER BY day DESC LIMIT %(limit)s OFFSET %(offset)s
    ), total AS (SELECT count(*) AS n FROM days)
    SELECT json_build_object(
        'days', coalesce((SELECT json_agg(page ORDER BY date DESC) FROM page), '[]'),
        'pagination', {pagination("total.n")})::text
    FROM total
    """,
)

# Every zone that somebody lives in, by one step through the index for each.
ZONES: Final = Query(
    "streak_zones",
    """
    WITH RECURSIVE zones AS (
        (SELECT timezone FROM users ORDER BY timezone LIMIT 1)
        UNION ALL
        SELECT (SELECT u.timezone FROM users u WHERE u.timezone > z.timezone
            ORDER BY u.timezone LIMIT 1)
        FROM zones z WHERE z.timezone IS NOT NULL
    )
    SELECT timezone FROM zones WHERE timezone IS NOT NULL
    """,
)

# People with a day that is over and not closed: per zone its last such day is given.
ENDED: Final = Query(
    "streak_ended",
    """
    SELECT u.id, z.zone, u.closed_day, z.day
    FROM unnest(%(zones)s::text[], %(days)s::date[]) AS z (zone, day)
    CROSS JOIN LATERAL (
        SELECT id, closed_day FROM users
        WHERE timezone = z.zone AND closed_day < z.day ORDER BY closed_day, id LIMIT %(limit)s
    ) u
    LIMIT %(limit)s
    """,
)

# Closes days, unless somebody else has done so or the person has moved since they were looked at.
CLOSE: Final = Query(
    "streak_close",
    """
    SELECT 1 FROM streaks WHERE user_id = ANY (%(user_ids)s::bigint[]) ORDER BY user_id FOR UPDATE;
    UPDATE users u SET closed_day = d.day
    FROM unnest(%(user_ids)s::bigint[], %(zones)s::text[], %(befores)s::date[], %(days)s::date[])
        AS d (id, zone, before, day)
    WHERE u.id = d.id AND u.timezone = d.zone AND u.closed_day = d.before
    RETURNING u.id, d.before, d.day
    """,
)

# Counts the days after `before` up to `day` on which something was due. Mostly they are counted
# already, by what was done on them; days on which nothing was done are not. Answers with the days
# that may have changed a run.
COUNT_CLOSED: Final = Query(
    "streak_count_closed",
    f"""
    WITH counted AS (
        SELECT t.user_id, t.due_date AS day, count(*)::int AS due,
            (count(*) FILTER (WHERE t.status = 'completed'))::int AS completed,
            (count(*) FILTER (WHERE t.status = 'skipped'))::int AS skipped
        FROM unnest(%(user_ids)s::bigint[], %(befores)s::date[], %(days)s::date[])
            AS d (user_id, before, day)
        JOIN tasks t ON t.user_id = d.user_id AND t.due_date > d.before AND t.due_date <= d.day
        GROUP BY t.user_id, t.due_date
    )
    INSERT INTO streak_days AS s (user_id, day, due, completed, skipped, compliant)
    SELECT c.user_id, day, due, completed, skipped, {_COMPLIANT}
    FROM counted c JOIN users u ON u.id = c.user_id
    ON CONFLICT (user_id, day) DO UPDATE
    SET due = EXCLUDED.due, completed = EXCLUDED.completed, skipped = EXCLUDED.skipped,
        compliant = EXCLUDED.compliant, updated_at = now(),
        run = CASE WHEN EXCLUDED.compliant THEN s.run ELSE 0 END
    WHERE (s.due, s.completed, s.skipped, s.compliant)
        IS DISTINCT FROM (EXCLUDED.due, EXCLUDED.completed, EXCLUDED.skipped, EXCLUDED.compliant)
    RETURNING user_id, day, compliant OR xmax <> 0
    """,
)
