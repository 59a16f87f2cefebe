-- purpose: the first answer to each Idempotency-Key, committed together with its effect
-- phase: expand
-- lock: none on existing tables (the table is new)
-- undo: drops the table; retries that are under way are no longer recognised

-- user_id is 0 for requests without an account (sign-up). The answer is sealed with a key that is
-- made from the request itself, so that nobody who reads this table can read it.
CREATE TABLE idempotency_keys (
    user_id bigint NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    sealed_answer bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key),
    CONSTRAINT idempotency_keys_key_length CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_keys_fingerprint_is_sha256 CHECK (length(fingerprint) = 32)
);

CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
