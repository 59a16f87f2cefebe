-- purpose: what a person says about themselves, the weekly plans made from it, and each change of it
-- phase: expand
-- lock: ACCESS EXCLUSIVE on tasks (two columns without a default: no row is read or rewritten)
-- undo: drops tables and columns; profiles, plans and audit are lost, the tasks of plans stay as tasks

-- Diet and meals are in `users`, where they are shown with the account.
CREATE TABLE health_profiles (
    user_id bigint PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    date_of_birth date NOT NULL,
    gender text NOT NULL,
    height_cm numeric(5, 2) NOT NULL,
    weight_kg numeric(5, 2) NOT NULL,
    activity_level text NOT NULL,
    primary_goal text NOT NULL,
    target_weight_kg numeric(5, 2) NOT NULL,
    target_date date NOT NULL,
    -- Counts how often that changed from which the metrics are computed, and says when it last did.
    metrics_version integer NOT NULL DEFAULT 1,
    metrics_computed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT health_profiles_gender CHECK (gender IN ('male', 'female', 'other')),
    CONSTRAINT health_profiles_height_range CHECK (height_cm BETWEEN 100 AND 250),
    CONSTRAINT health_profiles_weight_range CHECK (weight_kg BETWEEN 30 AND 300),
    CONSTRAINT health_profiles_target_weight_range CHECK (target_weight_kg BETWEEN 30 AND 300),
    CONSTRAINT health_profiles_activity_level CHECK (
        activity_level IN (
            'sedentary', 'lightly_active', 'moderately_active', 'very_active', 'extremely_active'
        )
    ),
    CONSTRAINT health_profiles_primary_goal CHECK (
        primary_goal IN ('lose_weight', 'gain_muscle', 'maintain', 'improve_health')
    ),
    CONSTRAINT health_profiles_metrics_version CHECK (metrics_version >= 1)
);

CREATE TABLE partners (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    email text,
    phone text,
    relationship text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT partners_name_length CHECK (length(name) BETWEEN 1 AND 255),
    CONSTRAINT partners_can_be_reached CHECK (email IS NOT NULL OR phone IS NOT NULL),
    CONSTRAINT partners_email_length CHECK (length(email) BETWEEN 3 AND 254),
    CONSTRAINT partners_phone_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    CONSTRAINT partners_relationship_length CHECK (length(relationship) BETWEEN 1 AND 50)
);

-- The numbers and what they were made from stay as they were when the plan was made.
CREATE TABLE plans (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    starts_on date NOT NULL,
    -- The last day of it.
    ends_on date NOT NULL,
    -- The first day on which another plan counts instead; none while no other follows.
    archived_on date,
    primary_goal text NOT NULL,
    activity_level text NOT NULL,
    weight_kg numeric(5, 2) NOT NULL,
    meals_per_day smallint NOT NULL,
    bmr_kcal integer NOT NULL,
    tdee_kcal integer NOT NULL,
    calories_kcal integer NOT NULL,
    protein_g integer NOT NULL,
    water_ml integer NOT NULL,
    weekly_rate_kg numeric(3, 1) NOT NULL,
    weeks integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id),
    CONSTRAINT plans_week CHECK (ends_on = starts_on + 6)
);

-- At most one plan of a person is in force, whoever makes it.
CREATE UNIQUE INDEX plans_active ON plans (user_id) WHERE archived_on IS NULL;
-- Whose plan ends: for the job that makes the next one.
CREATE INDEX plans_ending ON plans (ends_on, user_id) WHERE archived_on IS NULL;

CREATE TABLE profile_changes (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    field text NOT NULL,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, id)
);

CREATE TABLE metrics_acknowledgements (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version integer NOT NULL,
    metrics_computed_at timestamptz NOT NULL,
    acknowledged_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, version)
);

-- For which day and which place in it a plan made the task; both stay when the task is moved.
ALTER TABLE tasks
ADD COLUMN plan_day date,
ADD COLUMN plan_slot text;

ALTER TABLE tasks
ADD CONSTRAINT tasks_plan_slot_has_day
CHECK ((plan_day IS NULL) = (plan_slot IS NULL)) NOT VALID;
