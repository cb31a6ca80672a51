-- name: add_media
INSERT INTO media (id, project, version, status, item) VALUES ($1, $2, $3, $4, $5::text::json)

-- name: media_item
SELECT item FROM media WHERE id = $1

-- name: deleted_within
SELECT deleted_at > extract(epoch FROM now() - $2::interval) * 1000 FROM media WHERE id = $1

-- name: lock_media_items
-- For changes that follow in the same transaction. In the order of ids, so that two transactions cannot deadlock.
SELECT id, item FROM media WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: update_media
-- Only from the version that the change was made from: of two concurrent writers one gets no row.
UPDATE media SET version = $3, status = $4, item = $5::text::json, announced_at = now(), announced_twice = false
WHERE id = $1 AND version = $2 RETURNING id

-- name: update_locked_media
UPDATE media SET version = new.version, status = new.status, item = new.item::json, announced_at = now(),
    announced_twice = false,
    deleted_at = CASE WHEN new.status = 'deleted' THEN coalesce(deleted_at, (new.item::json ->> 'updated_at')::bigint) END
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[]) AS new (id, version, status, item)
WHERE media.id = new.id

-- name: reserve_name
INSERT INTO names (project, path, media_id) VALUES ($1, $2, $3) ON CONFLICT (project, path) DO NOTHING RETURNING path

-- name: name_holder
SELECT media_id FROM names WHERE project = $1 AND path = $2

-- name: release_names
DELETE FROM names WHERE media_id = $1

-- name: items_with_keys
SELECT item FROM media WHERE id = ANY ($1::text[])

-- name: taken_over
-- Those of the keys $1 that are of a derived file of any item. Reads the whole table.
SELECT DISTINCT derived -> 'file' ->> 'key' AS key
FROM media CROSS JOIN LATERAL json_array_elements(item -> 'files') AS derived
WHERE derived -> 'file' ->> 'key' = ANY ($1::text[])

-- name: unfinished_imports
-- Counted up to $2.
SELECT count(*) FROM (SELECT FROM media WHERE project = $1 AND status = 'processing' LIMIT $2) AS unfinished
