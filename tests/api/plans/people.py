"""Many people with plans, put in at once, and what a job did to them."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from gtsd.stores.postgres import Postgres, Query

# All goals, levels and numbers of meals come up.
_FILL: Final = Query(
    "test_fill",
    """
    WITH u AS (
        INSERT INTO users (email, password_hash, name, timezone, meals_per_day, onboarded_at)
        SELECT %(prefix)s || n || '@example.com', 'x', 'x', %(timezone)s, 1 + n %% 10, now()
        FROM generate_series(1, %(count)s) AS n RETURNING id
    ), s AS (
        INSERT INTO streaks (user_id) SELECT id FROM u
    ), h AS (
        INSERT INTO health_profiles (user_id, date_of_birth, gender, height_cm, weight_kg,
            activity_level, primary_goal, target_weight_kg, target_date, metrics_computed_at)
        SELECT id, date '1960-01-01' + (id %% 15000)::int,
            (ARRAY['male', 'female', 'other'])[1 + id %% 3], 150 + id %% 50, 50 + id %% 80,
            (ARRAY['sedentary', 'lightly_active', 'moderately_active', 'very_active',
                'extremely_active'])[1 + id %% 5],
            (ARRAY['lose_weight', 'gain_muscle', 'maintain', 'improve_health'])[1 + id %% 4],
            60, '2027-06-30', now()
        FROM u
    )
    INSERT INTO plans (user_id, starts_on, ends_on, primary_goal, activity_level, weight_kg,
        meals_per_day, bmr_kcal, tdee_kcal, calories_kcal, protein_g, water_ml, weekly_rate_kg)
    SELECT id, %(ends_on)s::date - 6, %(ends_on)s, 'maintain', 'sedentary', 70, 3,
        1500, 1800, 1800, 126, 2500, 0
    FROM u RETURNING user_id
    """,
)
_TASKS: Final = Query(
    "test_tasks",
    """
    SELECT due_date, plan_slot, count(*) FROM tasks
    WHERE user_id = ANY(%(user_ids)s) GROUP BY 1, 2 ORDER BY 1, 2
    """,
)
_PLANS: Final = Query(
    "test_plans",
    """
    SELECT starts_on, ends_on, archived_on, count(*) FROM plans
    WHERE user_id = ANY(%(user_ids)s) GROUP BY 1, 2, 3 ORDER BY 1
    """,
)


async def fill(
    postgres: Postgres, prefix: str, count: int, ends_on: date, timezone: str = "UTC"
) -> list[int]:
    """So many people whose plan ends on that day; gives their ids."""
    rows = await postgres.rows(
        _FILL, prefix=prefix, count=count, ends_on=ends_on, timezone=timezone
    )
    return [row[0] for row in rows]


async def plans_of(postgres: Postgres, user_ids: list[int]) -> list[tuple[Any, ...]]:
    """First, last and archive day of plans, and how many of these people have such a one."""
    return await postgres.rows(_PLANS, user_ids=user_ids)


async def tasks_of(postgres: Postgres, user_ids: list[int]) -> list[tuple[Any, ...]]:
    """Day and slot of tasks, and how many of these people have such a one."""
    return await postgres.rows(_TASKS, user_ids=user_ids)
