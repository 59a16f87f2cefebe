"""All SQL of ours about the queue; what moves a job from state to state is procrastinate's."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query

# Not procrastinate's function: it fails with the whole transaction of the caller where the key is
# taken. Its triggers write the history all the same.
DEFER: Final = Query(
    "job_defer",
    """
    INSERT INTO procrastinate_jobs
        (queue_name, task_name, priority, queueing_lock, args, scheduled_at)
    VALUES (%(queue)s, %(name)s, %(priority)s, %(key)s, %(args)s::jsonb, %(at)s::timestamptz)
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
    """,
)

# What a worker was given in an answer that never arrived: it has it by the table, and not at hand.
RECLAIM: Final = Query(
    "job_reclaim",
    """
    UPDATE procrastinate_jobs SET status = 'todo'
    WHERE status = 'doing' AND worker_id = %(worker_id)s AND id <> ALL (%(running)s::bigint[])
    """,
)

_NO_LIVE_WORKER: Final = """
    j.status = 'doing' AND NOT EXISTS (
        SELECT FROM procrastinate_workers w
        WHERE w.id = j.worker_id
            AND w.last_heartbeat >= now() - %(silence)s::float * interval '1 second')
"""

STALLED: Final = Query(
    "job_stalled", f"SELECT j.id FROM procrastinate_jobs j WHERE {_NO_LIVE_WORKER} ORDER BY j.id"
)

# Asked again as it is changed: meanwhile somebody else may have done so, and run it.
RESCUE: Final = Query(
    "job_rescue",
    f"""
    UPDATE procrastinate_jobs j
    SET attempts = attempts + 1, worker_id = NULL, scheduled_at = now(),
        status = CASE WHEN attempts < %(retries)s THEN 'todo' ELSE 'failed' END
            ::procrastinate_job_status
    WHERE j.id = %(id)s AND {_NO_LIVE_WORKER}
    RETURNING task_name, status = 'failed'
    """,
)

DROP_STALLED: Final = Query(
    "job_drop_stalled",
    f"DELETE FROM procrastinate_jobs j WHERE j.id = %(id)s AND {_NO_LIVE_WORKER}",
)

_STATE: Final = """
    CASE status WHEN 'doing' THEN 'running' WHEN 'failed' THEN 'dead'
        ELSE CASE WHEN scheduled_at > now() THEN 'scheduled' ELSE 'waiting' END END
"""

QUEUED: Final = Query(
    "job_queued",
    f"""
    SELECT {_STATE} AS state, count(*)::int FROM procrastinate_jobs
    WHERE status IN ('todo', 'doing', 'failed') GROUP BY 1
    """,
)

# A job without a time of its own waits since it was added; the first of them waits longest.
OLDEST: Final = Query(
    "job_oldest",
    """
    SELECT coalesce(extract(epoch FROM now() - least(
        (SELECT min(scheduled_at) FROM procrastinate_jobs
            WHERE status = 'todo' AND scheduled_at <= now()),
        (SELECT min(at) FROM procrastinate_events WHERE job_id = (
            SELECT id FROM procrastinate_jobs
            WHERE status = 'todo' AND scheduled_at IS NULL ORDER BY id LIMIT 1))
    )), 0)::float
    """,
)

# The newest first: of dead jobs the newest are what an operator has come for.
LIST: Final = Query(
    "job_list",
    f"""
    SELECT id, task_name, queue_name, {_STATE} AS state, attempts, scheduled_at,
        (SELECT max(at) FROM procrastinate_events e WHERE e.job_id = j.id) AS since
    FROM procrastinate_jobs j
    WHERE status IN ('todo', 'doing', 'failed')
        AND (%(state)s::text IS NULL OR {_STATE} = %(state)s)
    ORDER BY id DESC LIMIT %(limit)s
    """,
)

# The tries begin anew.
REVIVE: Final = Query(
    "job_revive",
    """
    UPDATE procrastinate_jobs SET status = 'todo', attempts = 0, scheduled_at = now()
    WHERE id = %(id)s AND status = 'failed' RETURNING id
    """,
)

DISCARD: Final = Query(
    "job_discard",
    """
    DELETE FROM procrastinate_jobs
    WHERE id = %(id)s AND status IN ('todo', 'failed') RETURNING id
    """,
)

DEAD: Final = Query(
    "job_dead", "SELECT id FROM procrastinate_jobs WHERE status = 'failed' ORDER BY id"
)
