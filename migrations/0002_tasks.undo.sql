DROP TABLE streak_days;
DROP TABLE streaks;
DROP TABLE evidence;
DROP TABLE tasks;
DROP TABLE task_series;
