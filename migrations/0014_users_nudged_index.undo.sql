-- transaction: none

DROP INDEX CONCURRENTLY IF EXISTS users_nudged;
