-- How often the job was started anew: the snapshot of a later run wins over the end of an earlier one.
ALTER TABLE jobs ADD COLUMN run integer NOT NULL DEFAULT 1;
