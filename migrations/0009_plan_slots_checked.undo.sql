ALTER TABLE tasks DROP CONSTRAINT tasks_plan_slot_has_day;

ALTER TABLE tasks
ADD CONSTRAINT tasks_plan_slot_has_day
CHECK ((plan_day IS NULL) = (plan_slot IS NULL)) NOT VALID;
