-- purpose: people, where they are signed in, and the one-time tokens of their mails
-- phase: expand
-- lock: none on existing tables (every table is new)
-- undo: drops the tables; all accounts are lost

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    password_hash text NOT NULL,
    name text NOT NULL,
    phone text,
    sms_opt_in boolean NOT NULL DEFAULT false,
    timezone text NOT NULL DEFAULT 'UTC',
    is_active boolean NOT NULL DEFAULT true,
    email_verified_at timestamptz,
    last_login_at timestamptz,
    onboarded_at timestamptz,
    dietary_preferences text[] NOT NULL DEFAULT '{}',
    allergies text[] NOT NULL DEFAULT '{}',
    meals_per_day smallint NOT NULL DEFAULT 3,
    -- The share of a day's tasks that makes the day count for the streak.
    compliance_threshold numeric(3, 2) NOT NULL DEFAULT 0.80,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_length CHECK (length(email) BETWEEN 3 AND 254),
    CONSTRAINT users_name_length CHECK (length(name) BETWEEN 1 AND 255),
    CONSTRAINT users_phone_e164 CHECK (phone ~ '^\+[1-9][0-9]{6,14}$'),
    CONSTRAINT users_timezone_length CHECK (length(timezone) BETWEEN 1 AND 64),
    CONSTRAINT users_meals_per_day_range CHECK (meals_per_day BETWEEN 1 AND 10),
    CONSTRAINT users_compliance_threshold_range CHECK (compliance_threshold BETWEEN 0.01 AND 1)
);

-- Emails compare case-insensitively. The only unique key not led by the user: it finds the user.
CREATE UNIQUE INDEX users_email_unique ON users (lower(email));

CREATE TABLE sessions (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    id bigint GENERATED ALWAYS AS IDENTITY,
    user_agent text NOT NULL DEFAULT '',
    address inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    PRIMARY KEY (user_id, id),
    CONSTRAINT sessions_user_agent_length CHECK (length(user_agent) <= 255)
);

CREATE INDEX sessions_live ON sessions (user_id, last_used_at DESC) WHERE revoked_at IS NULL;

-- A session is a family of refresh tokens; each is spent once. Only hashes are kept. `successor_salt`
-- makes the next token from the spent one, so that a retry can be given the same pair again.
CREATE TABLE refresh_tokens (
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    successor_salt bytea,
    PRIMARY KEY (user_id, token_hash),
    FOREIGN KEY (user_id, session_id) REFERENCES sessions (user_id, id) ON DELETE CASCADE,
    CONSTRAINT refresh_tokens_hash_is_sha256 CHECK (length(token_hash) = 32)
);

CREATE INDEX refresh_tokens_session ON refresh_tokens (user_id, session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

CREATE TABLE account_tokens (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL,
    purpose text NOT NULL,
    -- The address that a verification speaks of: it proves nothing about a later one.
    email text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, token_hash),
    CONSTRAINT account_tokens_purpose CHECK (purpose IN ('reset_password', 'verify_email')),
    CONSTRAINT account_tokens_hash_is_sha256 CHECK (length(token_hash) = 32)
);

CREATE INDEX account_tokens_expiry ON account_tokens (expires_at);
