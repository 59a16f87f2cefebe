ALTER TABLE users DROP COLUMN closed_day;
