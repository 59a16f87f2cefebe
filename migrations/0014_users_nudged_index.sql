-- purpose: people who are due for a text message are found without looking at the others
-- phase: expand
-- lock: SHARE UPDATE EXCLUSIVE on users (built beside all reads and writes)
-- undo: drops the index
-- transaction: none

CREATE INDEX CONCURRENTLY IF NOT EXISTS users_nudged ON users (timezone, id)
WHERE sms_opt_in AND phone IS NOT NULL AND is_active;
