"""All SQL of badges: one statement evaluates a person, one a thousand people.

What is measured is read from where it is kept anyway. Completed tasks are summed up from the days
of the streak, a row a day, and what has no such row is counted no further than the highest target.
"""

from __future__ import annotations

from typing import Final

from gtsd.badges.catalogue import CATALOGUE, Metric
from gtsd.stores.postgres import Query
from gtsd.stores.sql import iso


def _most(metric: Metric) -> int:
    return max(badge.target for badge in CATALOGUE if badge.metric is metric)


_CATALOGUE: Final = """
    catalogue AS (
        SELECT * FROM jsonb_to_recordset(%(catalogue)s::jsonb) AS badge (
            place int, code text, title text, description text, metric text, target int)
    )
"""


def _days(today: str) -> str:
    return f"""
        coalesce(sum(completed), 0)::int AS tasks,
        coalesce(max(run) FILTER (WHERE day <= {today}), 0) AS streak,
        (count(*) FILTER (WHERE due > skipped AND completed = due - skipped))::int
            AS perfect_days
    """


_DAYS: Final = _days("%(today)s::date")

# PostgreSQL runs a CTE that is read from within a CASE only where that branch is reached.
_VALUE: Final = f"""
    CASE metric
        WHEN 'tasks' THEN (SELECT tasks FROM days)
        WHEN 'streak' THEN (SELECT streak FROM days)
        WHEN 'perfect_days' THEN (SELECT perfect_days FROM days)
        WHEN 'evidence' THEN (SELECT count(*)::int FROM (
            SELECT FROM evidence WHERE user_id = %(user_id)s
            LIMIT {_most(Metric.EVIDENCE)}) AS given)
        WHEN 'photos' THEN (SELECT count(*)::int FROM (
            SELECT FROM photos WHERE user_id = %(user_id)s AND confirmed_at IS NOT NULL
            LIMIT {_most(Metric.PHOTOS)}) AS kept)
        WHEN 'onboarded' THEN (SELECT count(onboarded_at)::int FROM users
            WHERE id = %(user_id)s)
    END
"""


def award_if(only: str = "TRUE") -> str:
    """SQL that gives what was earned; where nothing is left to earn, nothing is measured."""
    return f"""
    WITH {_CATALOGUE}, days AS MATERIALIZED (
        SELECT {_DAYS} FROM streak_days WHERE user_id = %(user_id)s
    ), unearned AS MATERIALIZED (
        SELECT code, metric, target FROM catalogue c
        WHERE NOT EXISTS (SELECT FROM user_badges b
            WHERE b.user_id = %(user_id)s AND b.badge = c.code) AND {only}
    )
    INSERT INTO user_badges (user_id, badge, earned_at)
    SELECT %(user_id)s, code, %(now)s FROM unearned WHERE {_VALUE} >= target
    ON CONFLICT (user_id, badge) DO NOTHING
    """


AWARD: Final = Query("badges_award", award_if())

MINE: Final = Query(
    "badges_mine",
    f"""
    WITH {_CATALOGUE}, earned AS (
        SELECT c.code, c.title, c.description, c.metric, c.target,
            {iso("b.earned_at")} AS "earnedAt", c.place
        FROM user_badges b JOIN catalogue c ON c.code = b.badge
        WHERE b.user_id = %(user_id)s
    )
    SELECT json_build_object(
        'badges', coalesce((SELECT json_agg(json_build_object(
            'code', code, 'title', title, 'description', description, 'metric', metric,
            'target', target, 'earnedAt', "earnedAt") ORDER BY "earnedAt" DESC, place)
            FROM earned), '[]'),
        'total', (SELECT count(*) FROM catalogue))::text
    """,
)

AVAILABLE: Final = Query(
    "badges_available",
    f"""
    WITH {_CATALOGUE}, days AS MATERIALIZED (
        SELECT {_DAYS} FROM streak_days WHERE user_id = %(user_id)s
    ), measured AS (
        SELECT c.*, b.earned_at,
            CASE WHEN b.badge IS NULL THEN least({_VALUE}, target) ELSE target END AS current
        FROM catalogue c
        LEFT JOIN user_badges b ON b.user_id = %(user_id)s AND b.badge = c.code
    )
    SELECT json_build_object('badges', json_agg(json_build_object(
        'code', code, 'title', title, 'description', description, 'metric', metric,
        'target', target, 'current', current, 'percentage', 100 * current / target,
        'earned', earned_at IS NOT NULL, 'earnedAt', {iso("earned_at")}) ORDER BY place))::text
    FROM measured
    """,
)

# Many people, each with the last day that counts for the streak; whoever is just being deleted is
# left out.
AWARD_MANY: Final = Query(
    "badges_award_many",
    f"""
    WITH {_CATALOGUE}, there AS MATERIALIZED (
        SELECT id, onboarded_at FROM users WHERE id = ANY (%(user_ids)s::bigint[])
        FOR KEY SHARE SKIP LOCKED
    ), people AS MATERIALIZED (
        SELECT there.*, one.today
        FROM unnest(%(user_ids)s::bigint[], %(days)s::date[]) AS one (id, today)
        JOIN there USING (id)
    ), measured AS (
        SELECT p.id, b.badges, d.tasks, d.streak, d.perfect_days, e.evidence, f.photos,
            (p.onboarded_at IS NOT NULL)::int AS onboarded
        FROM people p
        CROSS JOIN LATERAL (
            SELECT array_agg(badge) AS badges FROM user_badges WHERE user_id = p.id) AS b
        CROSS JOIN LATERAL (
            SELECT {_days("p.today")} FROM streak_days WHERE user_id = p.id) AS d
        CROSS JOIN LATERAL (SELECT count(*)::int AS evidence FROM (
            SELECT FROM evidence WHERE user_id = p.id
            LIMIT {_most(Metric.EVIDENCE)}) AS given) AS e
        CROSS JOIN LATERAL (SELECT count(*)::int AS photos FROM (
            SELECT FROM photos WHERE user_id = p.id AND confirmed_at IS NOT NULL
            LIMIT {_most(Metric.PHOTOS)}) AS kept) AS f
    )
    INSERT INTO user_badges (user_id, badge, earned_at)
    SELECT m.id, c.code, %(now)s FROM measured m CROSS JOIN catalogue c
    WHERE c.target <= CASE c.metric
        WHEN 'tasks' THEN m.tasks
        WHEN 'streak' THEN m.streak
        WHEN 'perfect_days' THEN m.perfect_days
        WHEN 'evidence' THEN m.evidence
        WHEN 'photos' THEN m.photos
        WHEN 'onboarded' THEN m.onboarded
    END AND c.code <> ALL (coalesce(m.badges, '{{}}'))
    ORDER BY m.id, c.code
    ON CONFLICT (user_id, badge) DO NOTHING
    """,
)

PEOPLE: Final = Query(
    "badges_people", "SELECT id FROM users WHERE id > %(after)s ORDER BY id LIMIT %(limit)s"
)
