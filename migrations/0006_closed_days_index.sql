-- purpose: people whose day has ended are found without looking at the others
-- phase: expand
-- lock: SHARE UPDATE EXCLUSIVE on users (built beside all reads and writes)
-- undo: drops the index
-- transaction: none

CREATE INDEX CONCURRENTLY IF NOT EXISTS users_closed_day ON users (timezone, closed_day, id);
