"""All SQL of photos."""

from __future__ import annotations

from typing import Final

from gtsd.stores.postgres import Query
from gtsd.stores.sql import iso

# No row where as many uploads as allowed wait for their confirmation.
ADD_UPLOAD: Final = Query(
    "photo_upload_add",
    """
    INSERT INTO photos (user_id, upload_key, file_name, content_type, size_bytes, created_at)
    SELECT %(user_id)s, %(upload_key)s, %(file_name)s, %(content_type)s, %(size)s, %(now)s
    WHERE %(most)s > (SELECT count(*) FROM photos
        WHERE user_id = %(user_id)s AND confirmed_at IS NULL)
    """,
)

UPLOAD: Final = Query(
    "photo_upload",
    """
    SELECT id, content_type, size_bytes, confirmed_at IS NOT NULL,
        %(task_id)s::bigint IS NULL OR EXISTS (SELECT FROM tasks t
            WHERE t.user_id = %(user_id)s AND t.id = %(task_id)s::bigint)
    FROM photos WHERE user_id = %(user_id)s AND upload_key = %(upload_key)s
    """,
)

# Of parallel confirmations one finds the row unconfirmed.
CONFIRM: Final = Query(
    "photo_confirm",
    """
    UPDATE photos SET object_key = %(object_key)s, size_bytes = %(size)s, task_id = %(task_id)s,
        evidence_type = %(evidence_type)s, taken_at = %(taken_at)s, confirmed_at = %(now)s
    WHERE user_id = %(user_id)s AND id = %(id)s AND confirmed_at IS NULL
    """,
)

_PHOTO: Final = f"""
    id, task_id, evidence_type, file_name, content_type, size_bytes, {iso("taken_at")},
    {iso("confirmed_at")}, object_key
"""

PHOTO: Final = Query(
    "photo",
    f"""
    SELECT {_PHOTO} FROM photos
    WHERE user_id = %(user_id)s AND id = %(id)s AND confirmed_at IS NOT NULL
    """,
)

PHOTOS: Final = Query(
    "photos",
    f"""
    SELECT {_PHOTO} FROM photos
    WHERE user_id = %(user_id)s AND confirmed_at IS NOT NULL
        AND (%(task_id)s::bigint IS NULL OR task_id = %(task_id)s::bigint)
    ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s
    """,
)

COUNT: Final = Query(
    "photos_count",
    """
    SELECT count(*) FROM photos WHERE user_id = %(user_id)s AND confirmed_at IS NOT NULL
        AND (%(task_id)s::bigint IS NULL OR task_id = %(task_id)s::bigint)
    """,
)

DELETE: Final = Query(
    "photo_delete",
    """
    DELETE FROM photos WHERE user_id = %(user_id)s AND id = %(id)s AND confirmed_at IS NOT NULL
    RETURNING object_key
    """,
)

FORGET_OWNER: Final = Query(
    "photo_owner_forget",
    """
    INSERT INTO photo_owners_deleted (user_id) VALUES (%(user_id)s)
    ON CONFLICT (user_id) DO NOTHING
    """,
)

# What a confirmation has under way is left for the next time.
EXPIRE_UPLOADS: Final = Query(
    "photo_uploads_expire",
    """
    DELETE FROM photos p USING (
        SELECT user_id, id FROM photos
        WHERE confirmed_at IS NULL AND created_at < %(before)s
        ORDER BY created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ) AS old
    WHERE p.user_id = old.user_id AND p.id = old.id
    RETURNING p.upload_key
    """,
)

# ``over``: since before that moment no presigned upload of theirs can be used any more.
DELETED_OWNERS: Final = Query(
    "photo_owners_deleted",
    """
    SELECT user_id, deleted_at < %(over)s FROM photo_owners_deleted
    WHERE user_id > %(after)s ORDER BY user_id LIMIT %(limit)s
    """,
)

OWNER_DONE: Final = Query(
    "photo_owner_done", "DELETE FROM photo_owners_deleted WHERE user_id = %(user_id)s"
)

SWEPT: Final = Query("photo_sweep", "SELECT after_key FROM photo_sweeps WHERE folder = %(folder)s")

SWEEP: Final = Query(
    "photo_sweep_note",
    """
    INSERT INTO photo_sweeps (folder, after_key) VALUES (%(folder)s, %(after)s)
    ON CONFLICT (folder) DO UPDATE SET after_key = EXCLUDED.after_key
    """,
)

KNOWN: Final = Query(
    "photo_objects_known",
    """
    SELECT o.key FROM unnest(%(owners)s::bigint[], %(keys)s::text[]) AS o (user_id, key)
    WHERE EXISTS (SELECT FROM photos p WHERE p.user_id = o.user_id
            AND p.upload_key = o.key AND p.confirmed_at IS NULL)
        OR EXISTS (SELECT FROM photos p WHERE p.user_id = o.user_id AND p.object_key = o.key)
    """,
)
