-- purpose: tasks, the series that repeat them, the evidence that they were done, and the streaks
-- phase: expand
-- lock: SHARE ROW EXCLUSIVE on users (foreign keys of the new tables)
-- undo: drops the tables; all tasks, evidence and streaks are lost

CREATE TABLE task_series (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    type text NOT NULL,
    title text NOT NULL,
    description text,
    due_time time(0),
    priority text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    repeat text NOT NULL,
    starts_on date NOT NULL,
    -- The last day of the series; none while it goes on.
    ends_on date,
    -- Its tasks exist up to and including this day.
    made_until date NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT task_series_repeat CHECK (repeat IN ('daily', 'weekdays'))
);

CREATE INDEX task_series_open ON task_series (user_id, made_until) WHERE ends_on IS NULL;

CREATE TABLE tasks (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    series_id bigint,
    type text NOT NULL,
    title text NOT NULL,
    description text,
    due_date date NOT NULL,
    due_time time(0),
    status text NOT NULL DEFAULT 'pending',
    priority text NOT NULL DEFAULT 'medium',
    -- As in its series, so that a task is shown without looking there.
    repeat text,
    completed_at timestamptz,
    skipped_at timestamptz,
    skip_reason text,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, series_id) REFERENCES task_series (user_id, id) ON DELETE CASCADE,
    CONSTRAINT tasks_type CHECK (
        type IN (
            'workout', 'supplement', 'meal', 'hydration',
            'cardio', 'weight_log', 'progress_photo', 'custom'
        )
    ),
    CONSTRAINT tasks_status CHECK (status IN ('pending', 'in_progress', 'completed', 'skipped')),
    CONSTRAINT tasks_priority CHECK (priority IN ('low', 'medium', 'high')),
    CONSTRAINT tasks_repeat CHECK (repeat IN ('daily', 'weekdays')),
    CONSTRAINT tasks_repeat_has_series CHECK (repeat IS NULL OR series_id IS NOT NULL),
    CONSTRAINT tasks_title_length CHECK (length(title) BETWEEN 1 AND 200),
    CONSTRAINT tasks_description_length CHECK (length(description) <= 2000),
    CONSTRAINT tasks_skip_reason_length CHECK (length(skip_reason) <= 500),
    CONSTRAINT tasks_completed_at CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT tasks_skipped_at CHECK ((status = 'skipped') = (skipped_at IS NOT NULL))
);

-- Today, and every range of days.
CREATE INDEX tasks_due ON tasks (user_id, due_date, id);
-- A day has at most one task of a series, whoever makes it and however often.
CREATE UNIQUE INDEX tasks_series_day ON tasks (user_id, series_id, due_date)
WHERE series_id IS NOT NULL;

CREATE TABLE evidence (
    user_id bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    task_id bigint NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    notes text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    FOREIGN KEY (user_id, task_id) REFERENCES tasks (user_id, id) ON DELETE CASCADE,
    CONSTRAINT evidence_type CHECK (type IN ('text_log', 'metrics', 'photo_reference')),
    CONSTRAINT evidence_notes_length CHECK (length(notes) <= 2000)
);

CREATE INDEX evidence_task ON evidence (user_id, task_id, id);

-- One row a person, made with the account; locking it puts a person's changes of days in order.
CREATE TABLE streaks (
    user_id bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    longest integer NOT NULL DEFAULT 0,
    total_days integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT streaks_not_negative CHECK (longest >= 0 AND total_days >= 0)
);

-- One row for each day on which something happened. `run` is the number of compliant days in a row
-- that end on this day, 0 where this one is not compliant.
CREATE TABLE streak_days (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    day date NOT NULL,
    due integer NOT NULL,
    completed integer NOT NULL,
    skipped integer NOT NULL,
    compliant boolean NOT NULL,
    run integer NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, day),
    CONSTRAINT streak_days_counts CHECK (
        due >= 0 AND completed >= 0 AND skipped >= 0 AND completed + skipped <= due
    ),
    CONSTRAINT streak_days_run CHECK (run >= 0)
);
