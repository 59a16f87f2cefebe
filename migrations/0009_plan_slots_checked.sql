-- purpose: no task has a place in a plan without its day, or twins of it could not be told
-- phase: expand
-- lock: SHARE UPDATE EXCLUSIVE on tasks (rows are read beside all reads and writes)
-- undo: new rows are still checked, old ones no longer known to be right

ALTER TABLE tasks VALIDATE CONSTRAINT tasks_plan_slot_has_day;
