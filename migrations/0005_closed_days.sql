-- purpose: each of a person's days is closed once, at midnight where they are
-- phase: expand
-- lock: ACCESS EXCLUSIVE on users (no rewrite: the default is a constant when it runs)
-- undo: drops the column; after it is added again the last two days are closed once more

-- The last day that is over and counted. Who was here before begins with the day that has ended in
-- every zone of the world, whatever the zone of the server.
ALTER TABLE users ADD COLUMN closed_day date NOT NULL
-- now() is stable: it is evaluated once, so no row is written.
-- squawk-ignore adding-field-with-default
DEFAULT ((now() AT TIME ZONE 'UTC')::date - 2);
