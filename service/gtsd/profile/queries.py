"""All SQL of profiles."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query
from gtsd.stores.sql import iso, pagination

# In the order of Record's fields, then of Kept's.
PROFILE: Final = Query(
    "profile",
    f"""
    SELECT h.date_of_birth, h.gender, h.height_cm, h.weight_kg, h.activity_level, h.primary_goal,
        h.target_weight_kg, h.target_date, u.dietary_preferences, u.allergies, u.meals_per_day,
        (SELECT coalesce(json_agg(json_build_object('name', p.name, 'email', p.email,
                'phone', p.phone, 'relationship', p.relationship) ORDER BY p.id), '[]')
            FROM partners p WHERE p.user_id = h.user_id)::text,
        h.metrics_version, {iso("h.metrics_computed_at")}, {iso("a.acknowledged_at")}
    FROM health_profiles h JOIN users u ON u.id = h.user_id
    LEFT JOIN metrics_acknowledgements a
        ON a.user_id = h.user_id AND a.version = h.metrics_version
    WHERE h.user_id = %(user_id)s
    """,
)

SAVE: Final = Query(
    "profile_save",
    """
    WITH u AS (
        UPDATE users SET dietary_preferences = %(dietary_preferences)s::text[],
            allergies = %(allergies)s::text[], meals_per_day = %(meals_per_day)s,
            onboarded_at = coalesce(onboarded_at, %(now)s), updated_at = %(now)s
        WHERE id = %(user_id)s
    )
    INSERT INTO health_profiles (user_id, date_of_birth, gender, height_cm, weight_kg,
        activity_level, primary_goal, target_weight_kg, target_date, metrics_computed_at,
        created_at, updated_at)
    VALUES (%(user_id)s, %(date_of_birth)s, %(gender)s, %(height)s, %(weight)s,
        %(activity_level)s, %(primary_goal)s, %(target_weight)s, %(target_date)s, %(now)s,
        %(now)s, %(now)s)
    ON CONFLICT (user_id) DO UPDATE SET
        date_of_birth = EXCLUDED.date_of_birth, gender = EXCLUDED.gender,
        height_cm = EXCLUDED.height_cm, weight_kg = EXCLUDED.weight_kg,
        activity_level = EXCLUDED.activity_level, primary_goal = EXCLUDED.primary_goal,
        target_weight_kg = EXCLUDED.target_weight_kg, target_date = EXCLUDED.target_date,
        metrics_version = health_profiles.metrics_version + %(moves_metrics)s::int,
        metrics_computed_at = CASE WHEN %(moves_metrics)s
            THEN EXCLUDED.metrics_computed_at ELSE health_profiles.metrics_computed_at END,
        updated_at = EXCLUDED.updated_at
    """,
)

SET_PARTNERS: Final = Query(
    "partners_set",
    """
    WITH gone AS (DELETE FROM partners WHERE user_id = %(user_id)s)
    INSERT INTO partners (user_id, name, email, phone, relationship)
    SELECT %(user_id)s, name, email, phone, relationship
    FROM jsonb_to_recordset(%(partners)s::jsonb)
        AS g (name text, email text, phone text, relationship text)
    """,
)

ADD_CHANGES: Final = Query(
    "profile_changes_add",
    """
    INSERT INTO profile_changes (user_id, field, before, after, changed_at)
    SELECT %(user_id)s, field, before, after, %(now)s
    FROM jsonb_to_recordset(%(changes)s::jsonb) AS g (field text, before jsonb, after jsonb)
    """,
)

CHANGES: Final = Query(
    "profile_changes",
    f"""
    WITH page AS (
        SELECT id, field, before, after, {iso("changed_at")} AS "changedAt"
        FROM profile_changes WHERE user_id = %(user_id)s
        ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
    ), total AS (SELECT count(*) AS n FROM profile_changes WHERE user_id = %(user_id)s)
    SELECT json_build_object(
        'changes', coalesce((SELECT json_agg(page ORDER BY page.id DESC) FROM page), '[]'),
        'pagination', {pagination("total.n")})::text
    FROM total
    """,
)

# Clients know milliseconds. The first time counts; of versions that have gone by, too.
ACKNOWLEDGE: Final = Query(
    "metrics_acknowledge",
    f"""
    INSERT INTO metrics_acknowledgements
        (user_id, version, metrics_computed_at, acknowledged_at)
    SELECT user_id, metrics_version, metrics_computed_at, %(now)s FROM health_profiles
    WHERE user_id = %(user_id)s AND metrics_version = %(version)s
        AND date_trunc('milliseconds', metrics_computed_at)
            = date_trunc('milliseconds', %(computed_at)s::timestamptz)
    ON CONFLICT (user_id, version) DO NOTHING;

    SELECT json_build_object('version', version,
        'metricsComputedAt', {iso("metrics_computed_at")},
        'acknowledgedAt', {iso("acknowledged_at")})::text
    FROM metrics_acknowledgements
    WHERE user_id = %(user_id)s AND version = %(version)s
        AND date_trunc('milliseconds', metrics_computed_at)
            = date_trunc('milliseconds', %(computed_at)s::timestamptz)
    """,
)
