-- The schema at head, written by `make schema`. It is changed by migrations only.

CREATE TABLE public.account_tokens (
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    purpose text NOT NULL,
    email text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT account_tokens_hash_is_sha256 CHECK ((length(token_hash) = 32)),
    CONSTRAINT account_tokens_purpose CHECK ((purpose = ANY (ARRAY['reset_password'::text, 'verify_email'::text])))
);

CREATE TABLE public.evidence (
    user_id bigint NOT NULL,
    id bigint NOT NULL,
    task_id bigint NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    notes text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT evidence_notes_length CHECK ((length(notes) <= 2000)),
    CONSTRAINT evidence_type CHECK ((type = ANY (ARRAY['text_log'::text, 'metrics'::text, 'photo_reference'::text])))
);

ALTER TABLE public.evidence ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.evidence_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.idempotency_keys (
    user_id bigint NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    sealed_answer bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_fingerprint_is_sha256 CHECK ((length(fingerprint) = 32)),
    CONSTRAINT idempotency_keys_key_length CHECK (((length(key) >= 1) AND (length(key) <= 255)))
);

CREATE TABLE public.refresh_tokens (
    user_id bigint NOT NULL,
    token_hash bytea NOT NULL,
    session_id bigint NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    spent_at timestamp with time zone,
    successor_salt bytea,
    CONSTRAINT refresh_tokens_hash_is_sha256 CHECK ((length(token_hash) = 32))
);

CREATE TABLE public.sessions (
    user_id bigint NOT NULL,
    id bigint NOT NULL,
    user_agent text DEFAULT ''::text NOT NULL,
    address inet,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT sessions_user_agent_length CHECK ((length(user_agent) <= 255))
);

ALTER TABLE public.sessions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.sessions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.streak_days (
    user_id bigint NOT NULL,
    day date NOT NULL,
    due integer NOT NULL,
    completed integer NOT NULL,
    skipped integer NOT NULL,
    compliant boolean NOT NULL,
    run integer DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT streak_days_counts CHECK (((due >= 0) AND (completed >= 0) AND (skipped >= 0) AND ((completed + skipped) <= due))),
    CONSTRAINT streak_days_run CHECK ((run >= 0))
);

CREATE TABLE public.streaks (
    user_id bigint NOT NULL,
    longest integer DEFAULT 0 NOT NULL,
    total_days integer DEFAULT 0 NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT streaks_not_negative CHECK (((longest >= 0) AND (total_days >= 0)))
);

CREATE TABLE public.task_series (
    user_id bigint NOT NULL,
    id bigint NOT NULL,
    type text NOT NULL,
    title text NOT NULL,
    description text,
    due_time time(0) without time zone,
    priority text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    repeat text NOT NULL,
    starts_on date NOT NULL,
    ends_on date,
    made_until date NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT task_series_repeat CHECK ((repeat = ANY (ARRAY['daily'::text, 'weekdays'::text])))
);

ALTER TABLE public.task_series ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.task_series_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.tasks (
    user_id bigint NOT NULL,
    id bigint NOT NULL,
    series_id bigint,
    type text NOT NULL,
    title text NOT NULL,
    description text,
    due_date date NOT NULL,
    due_time time(0) without time zone,
    status text DEFAULT 'pending'::text NOT NULL,
    priority text DEFAULT 'medium'::text NOT NULL,
    repeat text,
    completed_at timestamp with time zone,
    skipped_at timestamp with time zone,
    skip_reason text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tasks_completed_at CHECK (((status = 'completed'::text) = (completed_at IS NOT NULL))),
    CONSTRAINT tasks_description_length CHECK ((length(description) <= 2000)),
    CONSTRAINT tasks_priority CHECK ((priority = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text]))),
    CONSTRAINT tasks_repeat CHECK ((repeat = ANY (ARRAY['daily'::text, 'weekdays'::text]))),
    CONSTRAINT tasks_repeat_has_series CHECK (((repeat IS NULL) OR (series_id IS NOT NULL))),
    CONSTRAINT tasks_skip_reason_length CHECK ((length(skip_reason) <= 500)),
    CONSTRAINT tasks_skipped_at CHECK (((status = 'skipped'::text) = (skipped_at IS NOT NULL))),
    CONSTRAINT tasks_status CHECK ((status = ANY (ARRAY['pending'::text, 'in_progress'::text, 'completed'::text, 'skipped'::text]))),
    CONSTRAINT tasks_title_length CHECK (((length(title) >= 1) AND (length(title) <= 200))),
    CONSTRAINT tasks_type CHECK ((type = ANY (ARRAY['workout'::text, 'supplement'::text, 'meal'::text, 'hydration'::text, 'cardio'::text, 'weight_log'::text, 'progress_photo'::text, 'custom'::text])))
);

ALTER TABLE public.tasks ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.tasks_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.users (
    id bigint NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    name text NOT NULL,
    phone text,
    sms_opt_in boolean DEFAULT false NOT NULL,
    timezone text DEFAULT 'UTC'::text NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    email_verified_at timestamp with time zone,
    last_login_at timestamp with time zone,
    onboarded_at timestamp with time zone,
    dietary_preferences text[] DEFAULT '{}'::text[] NOT NULL,
    allergies text[] DEFAULT '{}'::text[] NOT NULL,
    meals_per_day smallint DEFAULT 3 NOT NULL,
    compliance_threshold numeric(3,2) DEFAULT 0.80 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT users_compliance_threshold_range CHECK (((compliance_threshold >= 0.01) AND (compliance_threshold <= (1)::numeric))),
    CONSTRAINT users_email_length CHECK (((length(email) >= 3) AND (length(email) <= 254))),
    CONSTRAINT users_meals_per_day_range CHECK (((meals_per_day >= 1) AND (meals_per_day <= 10))),
    CONSTRAINT users_name_length CHECK (((length(name) >= 1) AND (length(name) <= 255))),
    CONSTRAINT users_phone_e164 CHECK ((phone ~ '^\+[1-9][0-9]{6,14}$'::text)),
    CONSTRAINT users_timezone_length CHECK (((length(timezone) >= 1) AND (length(timezone) <= 64)))
);

ALTER TABLE public.users ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.users_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE ONLY public.account_tokens
    ADD CONSTRAINT account_tokens_pkey PRIMARY KEY (user_id, token_hash);

ALTER TABLE ONLY public.evidence
    ADD CONSTRAINT evidence_pkey PRIMARY KEY (user_id, id);

ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, key);

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (user_id, token_hash);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (user_id, id);

ALTER TABLE ONLY public.streak_days
    ADD CONSTRAINT streak_days_pkey PRIMARY KEY (user_id, day);

ALTER TABLE ONLY public.streaks
    ADD CONSTRAINT streaks_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.task_series
    ADD CONSTRAINT task_series_pkey PRIMARY KEY (user_id, id);

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (user_id, id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX account_tokens_expiry ON public.account_tokens USING btree (expires_at);

CREATE INDEX evidence_task ON public.evidence USING btree (user_id, task_id, id);

CREATE INDEX idempotency_keys_age ON public.idempotency_keys USING btree (created_at);

CREATE INDEX refresh_tokens_expiry ON public.refresh_tokens USING btree (expires_at);

CREATE INDEX refresh_tokens_session ON public.refresh_tokens USING btree (user_id, session_id);

CREATE INDEX sessions_live ON public.sessions USING btree (user_id, last_used_at DESC) WHERE (revoked_at IS NULL);

CREATE INDEX task_series_open ON public.task_series USING btree (user_id, made_until) WHERE (ends_on IS NULL);

CREATE INDEX tasks_due ON public.tasks USING btree (user_id, due_date, id);

CREATE UNIQUE INDEX tasks_series_day ON public.tasks USING btree (user_id, series_id, due_date) WHERE (series_id IS NOT NULL);

CREATE UNIQUE INDEX users_email_unique ON public.users USING btree (lower(email));

ALTER TABLE ONLY public.account_tokens
    ADD CONSTRAINT account_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.evidence
    ADD CONSTRAINT evidence_user_id_task_id_fkey FOREIGN KEY (user_id, task_id) REFERENCES public.tasks(user_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_user_id_session_id_fkey FOREIGN KEY (user_id, session_id) REFERENCES public.sessions(user_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.streak_days
    ADD CONSTRAINT streak_days_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.streaks
    ADD CONSTRAINT streaks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.task_series
    ADD CONSTRAINT task_series_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_user_id_series_id_fkey FOREIGN KEY (user_id, series_id) REFERENCES public.task_series(user_id, id) ON DELETE CASCADE;
