-- name: add_media
INSERT INTO media (id, project, version, status, item) VALUES ($1, $2, $3, $4, $5)

-- name: media_item
SELECT item FROM media WHERE id = $1

-- name: media_item_locked
-- For a change that follows in the same transaction.
SELECT item FROM media WHERE id = $1 AND project = $2 FOR UPDATE

-- name: update_media
-- Only from the version that the change was made from: of two writers one begins anew.
UPDATE media SET version = $3, status = $4, item = $5 WHERE id = $1 AND version = $2 RETURNING id

-- name: reserve_name
INSERT INTO names (project, path, media_id) VALUES ($1, $2, $3) ON CONFLICT (project, path) DO NOTHING RETURNING path

-- name: name_holder
SELECT media_id FROM names WHERE project = $1 AND path = $2

-- name: release_names
DELETE FROM names WHERE media_id = $1

-- name: announce_media
-- Delivered when the transaction commits, to each replica that has somebody waiting for this item.
SELECT pg_notify('bitmill_ingest_media', $1)
