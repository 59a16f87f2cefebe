"""All SQL of plans. Whatever writes takes many people at once, as arrays or as one JSON list."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query
from gtsd.stores.sql import iso

# In the order of Body's fields.
PEOPLE: Final = Query(
    "plan_people",
    """
    SELECT h.user_id, u.meals_per_day, h.date_of_birth, h.gender, h.height_cm, h.weight_kg,
        h.target_weight_kg, h.activity_level, h.primary_goal
    FROM health_profiles h JOIN users u ON u.id = h.user_id
    WHERE h.user_id = ANY(%(user_ids)s)
    """,
)

# The plan of a day, of which there is one: what another plan took over does not count there.
_CURRENT: Final = """
    FROM plans p WHERE p.user_id = %(user_id)s
        AND p.starts_on <= %(today)s::date AND p.ends_on >= %(today)s::date
        AND (p.archived_on IS NULL OR p.archived_on > %(today)s::date)
    ORDER BY p.id DESC LIMIT 1
"""

CURRENT: Final = Query(
    "plan_current",
    f"""
    WITH p AS (SELECT p.* {_CURRENT}), days AS (
        SELECT t.due_date AS date, count(*) AS total,
            count(*) FILTER (WHERE t.status = 'completed') AS completed
        FROM p JOIN tasks t ON t.user_id = %(user_id)s AND t.plan_slot IS NOT NULL
            AND t.due_date BETWEEN p.starts_on AND p.ends_on
        GROUP BY t.due_date
    )
    SELECT json_build_object('id', p.id, 'status', 'active', 'startsOn', p.starts_on,
        'endsOn', p.ends_on, 'primaryGoal', p.primary_goal, 'activityLevel', p.activity_level,
        'weight', p.weight_kg::float8, 'mealsPerDay', p.meals_per_day,
        'targets', json_build_object('bmr', p.bmr_kcal, 'tdee', p.tdee_kcal,
            'calories', p.calories_kcal, 'protein', p.protein_g, 'water', p.water_ml,
            'weeklyRate', p.weekly_rate_kg::float8, 'weeks', p.weeks),
        'totalTasks', (SELECT coalesce(sum(total), 0) FROM days)::int,
        'completedTasks', (SELECT coalesce(sum(completed), 0) FROM days)::int,
        'days', (SELECT coalesce(json_agg(days ORDER BY date), '[]') FROM days),
        'createdAt', {iso("p.created_at")})::text
    FROM p
    """,
)

CURRENT_TARGETS: Final = Query(
    "plan_current_targets", f"SELECT p.calories_kcal, p.protein_g {_CURRENT}"
)

# Person by person by the index, whatever the planner knows of all rows (OFFSET 0 keeps it from
# joining them), and then the rows by their place: their owners' streaks are locked, so that nobody
# else moves them. So in the next one.
ARCHIVE: Final = Query(
    "plans_archive",
    """
    UPDATE plans SET archived_on = (%(starts)s::date[])[
        array_position(%(user_ids)s::bigint[], user_id)]
    WHERE ctid = ANY(ARRAY(
        SELECT p.ctid
        FROM unnest(%(user_ids)s::bigint[], %(starts)s::date[]) AS g (user_id, starts_on)
        CROSS JOIN LATERAL (
            SELECT p.ctid FROM plans p
            WHERE p.user_id = g.user_id
                AND (p.archived_on IS NULL OR p.archived_on > g.starts_on)
            OFFSET 0
        ) AS p
    ))
    """,
)

# Only what nobody has touched.
CLEAR: Final = Query(
    "plan_tasks_clear",
    """
    DELETE FROM tasks WHERE ctid = ANY(ARRAY(
        SELECT t.ctid
        FROM unnest(%(user_ids)s::bigint[], %(starts)s::date[], %(times)s::time[])
            AS g (user_id, starts_on, after)
        CROSS JOIN LATERAL (
            SELECT t.ctid FROM tasks t
            WHERE t.user_id = g.user_id AND t.plan_slot IS NOT NULL AND t.plan_day >= g.starts_on
                AND (t.plan_day > g.starts_on OR t.due_time > g.after)
                AND t.status = 'pending' AND t.updated_at = t.created_at
                AND NOT EXISTS (
                    SELECT FROM evidence e WHERE e.user_id = t.user_id AND e.task_id = t.id)
            OFFSET 0
        ) AS t
    ))
    """,
)

ADD_PLANS: Final = Query(
    "plans_add",
    """
    INSERT INTO plans (user_id, starts_on, ends_on, primary_goal, activity_level, weight_kg,
        meals_per_day, bmr_kcal, tdee_kcal, calories_kcal, protein_g, water_ml, weekly_rate_kg,
        weeks, created_at)
    SELECT user_id, starts_on, ends_on, primary_goal, activity_level, weight,
        meals_per_day, bmr, tdee, calories, protein, water, weekly_rate, weeks, %(now)s
    FROM jsonb_to_recordset(%(plans)s::jsonb) AS g (user_id bigint, starts_on date, ends_on date,
        primary_goal text, activity_level text, weight numeric, meals_per_day smallint, bmr int,
        tdee int, calories int, protein int, water int, weekly_rate numeric, weeks int)
    """,
)

ADD_TASKS: Final = Query(
    "plan_tasks_add",
    """
    INSERT INTO tasks (user_id, type, title, due_date, due_time, priority, metadata, plan_day,
        plan_slot, created_at, updated_at)
    SELECT g.user_id, g.type, g.title, d.day, g.due_time, g.priority, g.metadata, d.day,
        g.key, %(now)s, %(now)s
    FROM jsonb_to_recordset(%(tasks)s::jsonb) AS g (user_id bigint, starts_on date, after time,
        key text, type text, title text, due_time time, priority text, days jsonb, metadata jsonb)
    CROSS JOIN LATERAL (
        SELECT g.starts_on + n AS day FROM generate_series(0, %(days)s - 1) AS n
    ) AS d
    WHERE g.days @> to_jsonb(extract(isodow FROM d.day)::int)
        AND (d.day > g.starts_on OR g.due_time > g.after)
    ON CONFLICT (user_id, plan_day, plan_slot) WHERE plan_slot IS NOT NULL DO NOTHING
    """,
)

# People whose plan ends on a day or before, in an order that a walk can go on from.
ENDING: Final = Query(
    "plans_ending",
    """
    SELECT p.ends_on, p.user_id, u.timezone
    FROM plans p JOIN users u ON u.id = p.user_id
    WHERE p.archived_on IS NULL AND p.ends_on <= %(until)s::date AND u.is_active
        AND (p.ends_on, p.user_id) > (%(after_day)s::date, %(after_user)s)
    ORDER BY p.ends_on, p.user_id LIMIT %(limit)s
    """,
)

# The same, looked at again once their streaks are locked: another run may have been there.
STILL_ENDING: Final = Query(
    "plans_still_ending",
    """
    SELECT p.user_id, p.ends_on
    FROM unnest(%(user_ids)s::bigint[], %(todays)s::date[]) AS g (user_id, today)
    JOIN plans p ON p.user_id = g.user_id
    WHERE p.archived_on IS NULL AND p.ends_on <= g.today
    """,
)
