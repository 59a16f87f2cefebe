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

_JUDGED: Final = """
    judged AS (
        SELECT c.*, u.compliance_threshold AS threshold,
            due > skipped AND completed >= u.compliance_threshold * (due - skipped) AS compliant
        FROM counted c, users u WHERE u.id = %(user_id)s
    )
"""

_COUNTED: Final = f"""
    counted AS (
        SELECT count(*)::int AS due,
            count(*) FILTER (WHERE status = 'completed')::int AS completed,
            count(*) FILTER (WHERE status = 'skipped')::int AS skipped
        FROM tasks WHERE user_id = %(user_id)s AND due_date = %(day)s::date
    ), {_JUDGED}
"""

# Two statements: the second one sees what others have committed while the first one waited. No row
# means that the account has gone.
LOCK: Final = Query(
    "streak_lock",
    f"""
    SELECT 1 FROM streaks WHERE user_id = %(user_id)s FOR UPDATE;
    SELECT {CURRENT} FROM streaks WHERE user_id = %(user_id)s
    """,
)

# From all compliant days the runs, then the totals up to today. Answers with the streak after it.
_COUNT_RUNS: Final = f"""
    WITH islands AS (
        SELECT day, day - (row_number() OVER (ORDER BY day))::int AS island
        FROM streak_days WHERE user_id = %(user_id)s AND compliant
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
    WHERE user_id = %(user_id)s;

    SELECT (SELECT {CURRENT}), ({STREAK})::text
"""

# Counts a day again. The caller holds the lock.
COUNT_DAY: Final = Query(
    "streak_count_day",
    f"""
    WITH {_COUNTED}
    INSERT INTO streak_days (user_id, day, due, completed, skipped, compliant)
    SELECT %(user_id)s, %(day)s::date, due, completed, skipped, compliant FROM judged
    ON CONFLICT (user_id, day) DO UPDATE
    SET due = EXCLUDED.due, completed = EXCLUDED.completed, skipped = EXCLUDED.skipped,
        compliant = EXCLUDED.compliant, updated_at = now(),
        run = CASE WHEN EXCLUDED.compliant THEN streak_days.run ELSE 0 END;
    {_COUNT_RUNS}
    """,
)

# Counts the day and all later ones again that were counted before: a series that begins or ends
# changes many days at once.
COUNT_FROM: Final = Query(
    "streak_count_from",
    f"""
    WITH counted AS (
        SELECT d.day, count(t.id)::int AS due,
            (count(*) FILTER (WHERE t.status = 'completed'))::int AS completed,
            (count(*) FILTER (WHERE t.status = 'skipped'))::int AS skipped
        FROM streak_days d
        LEFT JOIN tasks t ON t.user_id = %(user_id)s AND t.due_date = d.day
        WHERE d.user_id = %(user_id)s AND d.day >= %(day)s::date
        GROUP BY d.day
    ), {_JUDGED}
    UPDATE streak_days d
    SET due = j.due, completed = j.completed, skipped = j.skipped, compliant = j.compliant,
        updated_at = now(), run = CASE WHEN j.compliant THEN d.run ELSE 0 END
    FROM judged j WHERE d.user_id = %(user_id)s AND d.day = j.day
        AND (d.due, d.completed, d.skipped) IS DISTINCT FROM (j.due, j.completed, j.skipped);
    {_COUNT_RUNS}
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
