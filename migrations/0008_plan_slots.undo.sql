-- transaction: none

DROP INDEX CONCURRENTLY IF EXISTS tasks_plan_slot;
