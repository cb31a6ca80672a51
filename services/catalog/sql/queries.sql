-- name: find_job
SELECT job::text FROM jobs WHERE id = $1 AND project = $2;

-- name: find_key
SELECT key::text FROM api_keys WHERE hash = $1 ORDER BY revoked_at NULLS LAST LIMIT 1;

-- name: project_is_signed
SELECT signed FROM projects WHERE id = $1;

-- name: find_media
SELECT hidden, item::text FROM media WHERE id = $1 AND project = $2;

-- name: find_file
SELECT key, content_type, lasting
FROM files
WHERE project = $1 AND path = $2
    AND NOT EXISTS (SELECT FROM media WHERE media.id = files.media_id AND media.hidden)
ORDER BY since DESC, owner
LIMIT 1;

-- name: had_file
-- Whether a deleted item had the name.
SELECT EXISTS (
    SELECT FROM files JOIN media ON media.id = files.media_id
    WHERE files.project = $1 AND files.path = $2 AND media.hidden
);

-- name: find_place
SELECT position, minted FROM jobs WHERE id = $1 AND project = $2;

-- name: first_position_after
-- The nearest ids are looked at: positions follow ids but for what was late.
SELECT min(position) FROM (
    SELECT position FROM jobs WHERE project = $1 AND minted > $2 ORDER BY minted LIMIT 1000
) AS following;

-- name: last_position_before
SELECT max(position) FROM (
    SELECT position FROM jobs WHERE project = $1 AND minted < $2 ORDER BY minted DESC LIMIT 1000
) AS preceding;

-- name: jobs_newest_first
-- Filters that are not requested are NULL, and are removed when the query is planned for its values.
SELECT job::text
FROM jobs
WHERE project = $1
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR status = $3)
    -- The address as it was given, or as it is kept where its private parts are masked ($10).
    AND ($4::text IS NULL OR (md5(input) IN (md5($4), md5($10)) AND input IN ($4, $10)))
    AND ($5::bigint IS NULL OR (position, minted) > ($5, $6::text))
    AND ($7::bigint IS NULL OR (position, minted) < ($7, $8::text))
ORDER BY position DESC, minted DESC
LIMIT $9;

-- name: jobs_oldest_first
SELECT job::text
FROM jobs
WHERE project = $1
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR (md5(input) IN (md5($4), md5($10)) AND input IN ($4, $10)))
    AND ($5::bigint IS NULL OR (position, minted) > ($5, $6::text))
    AND ($7::bigint IS NULL OR (position, minted) < ($7, $8::text))
ORDER BY position, minted
LIMIT $9;

-- name: count_media
SELECT count(*) FROM media WHERE project = $1 AND NOT hidden AND ($2::text IS NULL OR kind = $2);

-- name: rarest_first
-- Puts the pairs in order of how many items have them, counting no further than it matters.
SELECT pair
FROM unnest($1::uuid[]) AS pair
ORDER BY (SELECT count(*) FROM (SELECT FROM media_metadata WHERE media_metadata.pair = pair.pair LIMIT 10000) AS counted);

-- name: count_media_with
-- Items that have the pair $1 and all of $2. Here and below the comparison is "at most" where "equal" would do: the
-- planner takes an equal count for a rare thing, and would rather sort all hits than walk to the first few.
SELECT count(*)
FROM media_metadata AS one
WHERE one.pair = $1
    AND ($3::text IS NULL OR one.kind = $3)
    AND (cardinality($2::uuid[]) = 0 OR cardinality($2::uuid[]) <= (
        SELECT count(*) FROM media_metadata AS other
        WHERE other.pair = ANY ($2::uuid[]) AND other.created_at = one.created_at AND other.media_id = one.media_id
    ));

-- name: media_page_with
-- Items with the pair $1 and all of $2 by creation. The side table has them in that order: only those of the page are
-- fetched. {order} is put in by the caller, out of a closed list.
SELECT media.item::text
FROM (
    SELECT one.created_at, one.media_id
    FROM media_metadata AS one
    WHERE one.pair = $1
        AND ($3::text IS NULL OR one.kind = $3)
        AND (cardinality($2::uuid[]) = 0 OR cardinality($2::uuid[]) <= (
            SELECT count(*) FROM media_metadata AS other
            WHERE other.pair = ANY ($2::uuid[]) AND other.created_at = one.created_at AND other.media_id = one.media_id
        ))
    ORDER BY one.created_at {order}, one.media_id {order}
    LIMIT $4 OFFSET $5
) AS page
JOIN media ON media.id = page.media_id
ORDER BY page.created_at {order}, page.media_id {order};

-- name: media_page_of_few
-- Items with the pair $1 and all of $2 by another column, where they are few: all are fetched and sorted.
SELECT media.item::text
FROM media_metadata AS one
JOIN media ON media.id = one.media_id
WHERE one.pair = $1
    AND ($3::text IS NULL OR one.kind = $3)
    AND (cardinality($2::uuid[]) = 0 OR cardinality($2::uuid[]) <= (
        SELECT count(*) FROM media_metadata AS other
        WHERE other.pair = ANY ($2::uuid[]) AND other.created_at = one.created_at AND other.media_id = one.media_id
    ))
ORDER BY media.{sort} {order} NULLS LAST, media.id {order}
LIMIT $4 OFFSET $5;

-- name: media_page
-- Items by any column, with all pairs of $2, walking the column's index. One btree cannot give "nulls last" in both
-- directions: items that have no value come from the same index in a second part.
SELECT media.item::text
FROM (
    (
        SELECT 0 AS part, {sort} AS place, id
        FROM media
        WHERE project = $1 AND NOT hidden AND {sort} IS NOT NULL
            AND ($3::text IS NULL OR kind = $3)
            AND (cardinality($2::uuid[]) = 0 OR cardinality($2::uuid[]) <= (
                SELECT count(*) FROM media_metadata AS other
                WHERE other.pair = ANY ($2::uuid[])
                    AND other.created_at = media.created_at AND other.media_id = media.id
            ))
        ORDER BY {sort} {order}, id {order}
        LIMIT $4::bigint + $5::bigint
    )
    UNION ALL
    (
        SELECT 1, NULL, id
        FROM media
        WHERE project = $1 AND NOT hidden AND {sort} IS NULL
            AND ($3::text IS NULL OR kind = $3)
            AND (cardinality($2::uuid[]) = 0 OR cardinality($2::uuid[]) <= (
                SELECT count(*) FROM media_metadata AS other
                WHERE other.pair = ANY ($2::uuid[])
                    AND other.created_at = media.created_at AND other.media_id = media.id
            ))
        ORDER BY {sort} {order}, id {order} -- as the index has it: that NULL is all the same is not known to the planner
        LIMIT $4::bigint + $5::bigint
    )
    ORDER BY part, place {order}, id {order}
    LIMIT $4 OFFSET $5
) AS page
JOIN media ON media.id = page.id
ORDER BY page.part, page.place {order}, page.id {order};

-- name: inspect_job
SELECT position, job::text AS job FROM jobs WHERE id = $1;

-- name: referenced_objects
-- Those of the keys $1, stored for the jobs and items $2, that a name or a job has. A file of a job that a media item
-- took over is known by the job's own name for it, and by the item's.
SELECT key FROM files WHERE owner = ANY ($2::text[]) AND key = ANY ($1::text[])
UNION
SELECT job #>> '{output,key}' FROM jobs WHERE id = ANY ($2::text[]) AND job #>> '{output,key}' = ANY ($1::text[]);
