-- Requests a minute of a project and of each of its keys; null: as the settings say.
ALTER TABLE projects ADD COLUMN rate_limit integer, ADD COLUMN key_rate_limit integer;
