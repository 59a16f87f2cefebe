-- purpose: a person is told by mail of a sign-in from a place that was never seen of the account
-- phase: expand
-- lock: SHARE ROW EXCLUSIVE on users (for the moment in which the reference is made)
-- undo: drops the table; the next sign-in of everybody counts as their first

-- A place is a hash of program and network, enough to know it again. Apart from sessions, which are
-- deleted when they end.
CREATE TABLE sign_in_places (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    place bytea NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, place),
    CONSTRAINT sign_in_places_place_is_sha256 CHECK (length(place) = 32)
);
