-- Ended jobs are deleted after a time, the oldest first. By their ids and not by `updated_at`: an index of that column
-- would keep each report of progress from updating the row in place.
CREATE INDEX jobs_ended ON jobs (minted) WHERE rank = 2;

-- The marks of deleted items, and the names that go with them.
CREATE INDEX media_hidden ON media (updated_at) WHERE hidden;
CREATE INDEX files_by_media ON files (media_id) WHERE media_id IS NOT NULL;
