-- purpose: a person keeps photos of their progress
-- phase: expand
-- lock: SHARE ROW EXCLUSIVE on users and tasks (foreign keys of the new table)
-- undo: drops the tables; all photos are lost, and their objects stay in the bucket as orphans

-- One row for each upload that was allowed. It becomes a photo when it is confirmed: then `object_key`
-- names the copy without metadata, the only one that is ever given out.
CREATE TABLE photos (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    upload_key text NOT NULL,
    object_key text,
    file_name text NOT NULL,
    content_type text NOT NULL,
    -- As agreed before the upload, and from the confirmation on as the copy has it.
    size_bytes integer NOT NULL,
    task_id bigint,
    evidence_type text,
    taken_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, task_id) REFERENCES tasks (user_id, id) ON DELETE SET NULL (task_id),
    CONSTRAINT photos_confirmed CHECK ((confirmed_at IS NULL) = (object_key IS NULL)),
    CONSTRAINT photos_content_type CHECK (content_type IN ('image/jpeg', 'image/png', 'image/heic')),
    CONSTRAINT photos_evidence_type CHECK (evidence_type IN ('before', 'during', 'after')),
    CONSTRAINT photos_file_name_length CHECK (length(file_name) BETWEEN 1 AND 255),
    CONSTRAINT photos_size_range CHECK (size_bytes BETWEEN 1 AND 10485760)
);

CREATE UNIQUE INDEX photos_upload ON photos (user_id, upload_key);
CREATE UNIQUE INDEX photos_object ON photos (user_id, object_key) WHERE object_key IS NOT NULL;
-- A person's photos, the newest first, all of them and those of one task.
CREATE INDEX photos_newest ON photos (user_id, id DESC) WHERE confirmed_at IS NOT NULL;
CREATE INDEX photos_task ON photos (user_id, task_id, id DESC);
-- Not led by the user: the clean-up looks for what is old, whoever's it is.
CREATE INDEX photos_unconfirmed ON photos (created_at) WHERE confirmed_at IS NULL;

-- Accounts whose objects are still to be deleted. Without a foreign key, since the account has gone.
CREATE TABLE photo_owners_deleted (
    user_id bigint PRIMARY KEY,
    deleted_at timestamptz NOT NULL DEFAULT now()
);

-- How far the search for orphans has come in each folder of the bucket, to go on there.
CREATE TABLE photo_sweeps (
    folder text PRIMARY KEY,
    after_key text NOT NULL
);
