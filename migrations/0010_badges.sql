-- purpose: a person earns badges, each of them once
-- phase: expand
-- lock: SHARE ROW EXCLUSIVE on users (foreign key of the new table)
-- undo: drops the table; all badges are lost, and the nightly job gives those still deserved again

-- Which badges there are, and for what, is in the catalogue of the code. A row is never taken back.
CREATE TABLE user_badges (
    user_id bigint NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    badge text NOT NULL,
    earned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, badge),
    CONSTRAINT user_badges_badge_length CHECK (length(badge) BETWEEN 1 AND 40)
);
