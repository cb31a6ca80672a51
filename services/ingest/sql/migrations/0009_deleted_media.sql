-- Deleted items are kept for a time with their files, so that they can be restored.
ALTER TABLE media ADD COLUMN deleted_at bigint;
CREATE INDEX media_deleted ON media (deleted_at) WHERE deleted_at IS NOT NULL;
