"""All SQL of tasks, their series and their evidence."""

from __future__ import annotations

from typing import Final

from gtsd.badges.queries import award_if
from gtsd.stores.postgres import Query
from gtsd.stores.sql import hour_minute, iso, pagination
from gtsd.streaks.queries import CURRENT, STREAK, count_day_if

_EVIDENCE: Final = f"""
    SELECT e.id, e.task_id AS "taskId", e.type, e.data, e.notes,
        {iso("e.created_at")} AS "createdAt"
"""

_TASK: Final = f"""
    SELECT t.id, t.type, t.title, t.description, t.due_date AS "dueDate",
        {hour_minute("t.due_time")} AS "dueTime", t.status, t.priority, t.repeat,
        {iso("t.completed_at")} AS "completedAt", {iso("t.skipped_at")} AS "skippedAt",
        t.skip_reason AS "skipReason", t.metadata,
        (SELECT coalesce(json_agg(shown ORDER BY shown.id), '[]') FROM (
            {_EVIDENCE} FROM evidence e WHERE e.user_id = t.user_id AND e.task_id = t.id
            ORDER BY e.id DESC LIMIT 20
        ) AS shown) AS evidence,
        {iso("t.created_at")} AS "createdAt", {iso("t.updated_at")} AS "updatedAt"
"""

_ORDER: Final = "t.due_date, t.due_time NULLS LAST, t.id"

TODAY: Final = Query(
    "today",
    f"""
    WITH counts AS (
        SELECT count(*) AS total, count(*) FILTER (WHERE status = 'completed') AS completed,
            count(*) FILTER (WHERE %(type)s::text IS NULL OR type = %(type)s::text) AS shown
        FROM tasks WHERE user_id = %(user_id)s AND due_date = %(day)s::date
    ), page AS (
        SELECT t.* FROM tasks t WHERE t.user_id = %(user_id)s AND t.due_date = %(day)s::date
            AND (%(type)s::text IS NULL OR t.type = %(type)s::text)
        ORDER BY {_ORDER} LIMIT %(limit)s OFFSET %(offset)s
    ), by_type AS (
        SELECT t.type, json_agg((SELECT row_to_json(shown) FROM ({_TASK}) AS shown)
            ORDER BY {_ORDER}) AS tasks
        FROM page t GROUP BY t.type
    )
    SELECT json_build_object(
        'date', %(day)s::date, 'totalTasks', total, 'completedTasks', completed,
        'completionPercentage',
            coalesce(floor(100.0 * completed / nullif(total, 0) + 0.5), 0)::int,
        'tasksByType', coalesce((SELECT json_object_agg(type, tasks) FROM by_type), '{{}}'),
        'streak', ({STREAK}), 'pagination', {pagination("shown")})::text
    FROM counts
    """,
    prepared=True,
)

TASKS: Final = Query(
    "tasks",
    f"""
    WITH chosen AS (
        SELECT t.* FROM tasks t WHERE t.user_id = %(user_id)s
            AND (%(from)s::date IS NULL OR t.due_date >= %(from)s::date)
            AND (%(to)s::date IS NULL OR t.due_date <= %(to)s::date)
            AND (%(type)s::text IS NULL OR t.type = %(type)s::text)
            AND (%(status)s::text IS NULL OR t.status = %(status)s::text)
    ), page AS (
        SELECT t.* FROM chosen t ORDER BY {_ORDER} LIMIT %(limit)s OFFSET %(offset)s
    ), total AS (SELECT count(*) AS n FROM chosen)
    SELECT json_build_object(
        'tasks', coalesce((SELECT json_agg((SELECT row_to_json(shown) FROM ({_TASK}) AS shown)
            ORDER BY {_ORDER}) FROM page t), '[]'),
        'pagination', {pagination("total.n")})::text
    FROM total
    """,
)

TASK: Final = Query(
    "task",
    f"""
    SELECT row_to_json(shown)::text FROM tasks t CROSS JOIN LATERAL ({_TASK}) AS shown
    WHERE t.user_id = %(user_id)s AND t.id = %(id)s
    """,
)

# What a change needs to know before it changes.
STATE: Final = Query(
    "task_state",
    """
    SELECT due_date, status, series_id FROM tasks
    WHERE user_id = %(user_id)s AND id = %(id)s FOR UPDATE
    """,
)

ADD: Final = Query(
    "task_add",
    """
    INSERT INTO tasks (user_id, type, title, description, due_date, due_time, priority, metadata,
        created_at, updated_at)
    VALUES (%(user_id)s, %(type)s, %(title)s, %(description)s, %(due_date)s, %(due_time)s,
        %(priority)s, %(metadata)s, %(now)s, %(now)s)
    RETURNING id
    """,
)

SET_STATUS: Final = Query(
    "task_set_status",
    """
    UPDATE tasks SET status = %(status)s, updated_at = %(now)s,
        completed_at = CASE WHEN %(status)s = 'completed' THEN %(now)s::timestamptz END,
        skipped_at = CASE WHEN %(status)s = 'skipped' THEN %(now)s::timestamptz END,
        skip_reason = CASE WHEN %(status)s = 'skipped' THEN %(reason)s::text END
    WHERE user_id = %(user_id)s AND id = %(id)s
    """,
)

CHANGE: Final = Query(
    "task_change",
    """
    UPDATE tasks SET
        title = coalesce(%(title)s, title),
        description = CASE WHEN %(sets_description)s THEN %(description)s ELSE description END,
        due_date = coalesce(%(due_date)s, due_date),
        due_time = CASE WHEN %(sets_due_time)s THEN %(due_time)s::time ELSE due_time END,
        priority = coalesce(%(priority)s, priority),
        metadata = coalesce(%(metadata)s::jsonb, metadata),
        updated_at = %(now)s
    WHERE user_id = %(user_id)s AND id = %(id)s
    """,
)

DELETE: Final = Query(
    "task_delete", "DELETE FROM tasks WHERE user_id = %(user_id)s AND id = %(id)s"
)

# A series takes its shape from its first task, which becomes one of it.
ADD_SERIES: Final = Query(
    "series_add",
    """
    WITH series AS (
        INSERT INTO task_series (user_id, type, title, description, due_time, priority, metadata,
            repeat, starts_on, made_until)
        SELECT user_id, type, title, description, due_time, priority, metadata,
            %(repeat)s, due_date, due_date
        FROM tasks WHERE user_id = %(user_id)s AND id = %(id)s
        RETURNING id
    )
    UPDATE tasks t SET series_id = series.id, repeat = %(repeat)s
    FROM series WHERE t.user_id = %(user_id)s AND t.id = %(id)s
    """,
)

LACKING_SERIES: Final = Query(
    "series_lacking",
    """
    SELECT EXISTS (SELECT FROM task_series
        WHERE user_id = %(user_id)s AND ends_on IS NULL AND made_until < %(enough)s::date)
    """,
)

# Makes the tasks of all open series up to a day; days that have theirs already are passed over.
# Days before today are not made up for: nobody was asked to do anything on them.
EXTEND_SERIES: Final = Query(
    "series_extend",
    """
    WITH due AS (
        SELECT * FROM task_series
        WHERE user_id = %(user_id)s AND ends_on IS NULL AND made_until < %(enough)s::date
        FOR UPDATE
    ), made AS (
        INSERT INTO tasks (user_id, series_id, type, title, description, due_date, due_time,
            priority, repeat, metadata, created_at, updated_at)
        SELECT s.user_id, s.id, s.type, s.title, s.description, day::date, s.due_time,
            s.priority, s.repeat, s.metadata, %(now)s, %(now)s
        FROM due s, generate_series(
            greatest(s.made_until + 1, %(today)s::date), greatest(s.starts_on, %(until)s::date),
            interval '1 day') AS day
        WHERE s.repeat = 'daily' OR extract(isodow FROM day) < 6
        ON CONFLICT (user_id, series_id, due_date) WHERE series_id IS NOT NULL DO NOTHING
    )
    UPDATE task_series s SET made_until = greatest(s.starts_on, %(until)s::date)
    FROM due WHERE s.user_id = due.user_id AND s.id = due.id
    """,
)

# The tasks of the series after the day go, but for those that something was done with.
END_SERIES: Final = Query(
    "series_end",
    """
    WITH later AS (
        DELETE FROM tasks WHERE user_id = %(user_id)s AND series_id = %(series_id)s
            AND due_date > %(day)s AND status = 'pending'
            AND NOT EXISTS (SELECT FROM evidence e
                WHERE e.user_id = tasks.user_id AND e.task_id = tasks.id)
    ), kept AS (
        UPDATE tasks SET repeat = NULL
        WHERE user_id = %(user_id)s AND series_id = %(series_id)s AND due_date <= %(day)s
    )
    UPDATE task_series SET ends_on = %(day)s
    WHERE user_id = %(user_id)s AND id = %(series_id)s AND ends_on IS NULL
    """,
)

# The day to be counted again: that of a task which this evidence completes.
_DAY: Final = "nullif(current_setting('gtsd.day', true), '')::date"

# All that evidence does, as one message and so as one transaction: keep it, complete the task,
# count the day, give badges, answer. What later statements have to know of before is put into two
# settings that end with it. No row means that the account has gone, NULL that the task is not
# theirs; then nothing is changed.
GIVE_EVIDENCE: Final = Query(
    "evidence_give",
    f"""
    SELECT 1 FROM streaks WHERE user_id = %(user_id)s FOR UPDATE;

    SELECT set_config('gtsd.streak', ({CURRENT})::text, true),
        set_config('gtsd.day', coalesce((SELECT due_date::text FROM tasks
            WHERE user_id = %(user_id)s AND id = %(task_id)s AND status <> 'completed'), ''), true);

    INSERT INTO evidence (user_id, task_id, type, data, notes, created_at)
    SELECT user_id, id, %(type)s::text, %(data)s::jsonb, %(notes)s::text, %(now)s::timestamptz
    FROM tasks WHERE user_id = %(user_id)s AND id = %(task_id)s;

    UPDATE tasks SET status = 'completed', updated_at = %(now)s, completed_at = %(now)s,
        skipped_at = NULL, skip_reason = NULL
    WHERE user_id = %(user_id)s AND id = %(task_id)s AND {_DAY} IS NOT NULL;

    {count_day_if(_DAY)};

    {award_if("EXISTS (SELECT FROM tasks WHERE user_id = %(user_id)s AND id = %(task_id)s)")};

    SELECT CASE WHEN task.whole IS NOT NULL THEN json_build_object(
        'task', task.whole,
        'evidence', (SELECT row_to_json(shown) FROM (
            {_EVIDENCE} FROM evidence e
            WHERE e.user_id = %(user_id)s AND e.task_id = %(task_id)s
            ORDER BY e.id DESC LIMIT 1) AS shown),
        'streakUpdated', now_.current > current_setting('gtsd.streak')::int,
        'newStreak', now_.current)::text END
    FROM streaks
    CROSS JOIN (SELECT {CURRENT} AS current) AS now_
    LEFT JOIN (SELECT row_to_json(shown) AS whole FROM tasks t CROSS JOIN LATERAL ({_TASK}) AS shown
        WHERE t.user_id = %(user_id)s AND t.id = %(task_id)s) AS task ON TRUE
    WHERE streaks.user_id = %(user_id)s
    """,
    prepared=True,
)

EVIDENCE: Final = Query(
    "evidence",
    f"""
    WITH page AS (
        {_EVIDENCE} FROM evidence e WHERE e.user_id = %(user_id)s AND e.task_id = %(id)s
        ORDER BY e.id LIMIT %(limit)s OFFSET %(offset)s
    ), total AS (
        SELECT count(*) AS n FROM evidence WHERE user_id = %(user_id)s AND task_id = %(id)s
    )
    SELECT json_build_object(
        'evidence', coalesce((SELECT json_agg(page ORDER BY page.id) FROM page), '[]'),
        'pagination', {pagination("total.n")})::text
    FROM total, tasks t WHERE t.user_id = %(user_id)s AND t.id = %(id)s
    """,
)
