-- purpose: text messages that remind of a day's tasks, and the phones that want none
-- phase: expand
-- lock: SHARE ROW EXCLUSIVE on users (for the moment in which the reference is made)
-- undo: drops the tables; phones that said STOP are forgotten, so leave messages off afterwards

-- A row is written before its message is sent. What must hold of every message is held here, whoever
-- sends: one of a kind on a day of the person's calendar, and none from 22:00 to 06:00 on the
-- person's clock. `local_at` is that clock at the instant `at`; no zone of the world is farther from
-- UTC than the bounds.
CREATE TABLE nudges (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL,
    day date GENERATED ALWAYS AS (local_at::date) STORED,
    at timestamptz NOT NULL,
    -- A clock on a wall, which has no zone; `at` says which instant it is.
    -- squawk-ignore prefer-timestamp-tz
    local_at timestamp NOT NULL,
    -- Unknown while it is being sent, and where nobody can know.
    outcome text,
    PRIMARY KEY (user_id, day, kind),
    CONSTRAINT nudges_kind CHECK (kind IN ('morning', 'evening')),
    CONSTRAINT nudges_outcome CHECK (outcome IN ('sent', 'refused')),
    CONSTRAINT nudges_not_in_quiet_hours CHECK (
        local_at::time >= time '06:00' AND local_at::time < time '22:00'
    ),
    CONSTRAINT nudges_local_at_is_of_a_zone CHECK (
        local_at - (at AT TIME ZONE 'UTC') BETWEEN interval '-12 hours' AND interval '14 hours'
    )
);

CREATE INDEX nudges_age ON nudges (at);

-- Who said STOP is a phone, whoever's account it is in, and stays one when the account is deleted.
CREATE TABLE sms_opt_outs (
    phone text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sms_opt_outs_phone_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$')
);
