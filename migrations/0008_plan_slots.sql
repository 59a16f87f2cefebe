-- purpose: a day has each task of a plan at most once, whoever makes it and however often
-- phase: expand
-- lock: SHARE UPDATE EXCLUSIVE on tasks (the index is built beside all reads and writes)
-- undo: drops the index; two plans could then lay out the same day twice
-- transaction: none

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS tasks_plan_slot
ON tasks (user_id, plan_day, plan_slot) WHERE plan_slot IS NOT NULL;
