-- name: find_job
SELECT job::text FROM jobs WHERE id = $1 AND project = $2;

-- name: find_job_of_step
-- The id of a step has the time of its job's, to the millisecond: the jobs of the project that are as old are looked at.
SELECT job::text FROM jobs
WHERE project = $2 AND minted >= left(right($1, 26), 10) AND minted < left(right($1, 26), 10) || '~'
    AND EXISTS (SELECT FROM json_array_elements(job -> 'tasks') AS step WHERE step ->> 'id' = $1)
LIMIT 1;

-- name: find_key
SELECT key::text FROM api_keys WHERE hash = $1 ORDER BY revoked_at NULLS LAST LIMIT 1;

-- name: project_is_signed
SELECT signed FROM projects WHERE id = $1;

-- name: project_rates
SELECT rate_limit, key_rate_limit FROM projects WHERE id = $1;

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

-- name: nth_newest_job
-- The id of the job with $2 newer ones before it: they are counted in the index, and only its own row is read.
SELECT id FROM jobs
WHERE project = $1 AND (position, minted) = (
    SELECT position, minted FROM jobs WHERE project = $1 ORDER BY position DESC, minted DESC OFFSET $2 LIMIT 1
);

-- name: first_position_after
-- The nearest ids are looked at: positions follow ids but for what was late.
SELECT min(position) FROM (
    SELECT position FROM jobs WHERE project = $1 AND minted > $2 ORDER BY minted LIMIT 1000
) AS following;

-- name: last_position_before
SELECT max(position) FROM (
    SELECT position FROM jobs WHERE project = $1 AND minted < $2 ORDER BY minted DESC LIMIT 1000
) AS preceding;

-- name: jobs_page
-- Filters that are not requested are NULL, and are removed when the query is planned for its values. {order} is put in
-- by the caller, out of a closed list; so below.
SELECT job::text
FROM jobs
WHERE project = $1
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR status = $3)
    -- The address as it was given, or as it is kept where its private parts are masked ($5).
    AND ($4::text IS NULL OR (md5(input) IN (md5($4), md5($5)) AND input IN ($4, $5)))
    AND ($6::bigint IS NULL OR coalesce(created_at, (job ->> 'created_at')::bigint) > $6)
    AND ($7::bigint IS NULL OR coalesce(created_at, (job ->> 'created_at')::bigint) < $7)
    AND ($8::bigint IS NULL OR (position, minted) > ($8, $9::text))
    AND ($10::bigint IS NULL OR (position, minted) < ($10, $11::text))
    AND ($12::bigint IS NULL OR position >= $12)
    AND ($13::bigint IS NULL OR position <= $13)
    AND (cardinality($14::uuid[]) = 0 OR cardinality($14::uuid[]) <= (
        SELECT count(*) FROM job_metadata AS other
        WHERE other.pair = ANY ($14::uuid[]) AND other.position = jobs.position AND other.minted = jobs.minted
    ))
ORDER BY position {order}, minted {order}
LIMIT $15;

-- name: jobs_page_with
-- As jobs_page, by the rows of job_metadata with the first of the pairs $14.
SELECT jobs.job::text
FROM job_metadata AS one
CROSS JOIN LATERAL (
    SELECT job, kind, status, input, created_at FROM jobs
    WHERE jobs.project = $1 AND jobs.position = one.position AND jobs.minted = one.minted
    LIMIT 1 -- a job has one place; the planner then takes the rows one by one, in their order
) AS jobs
WHERE one.pair = ($14::uuid[])[1]
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR input IN ($4, $5))
    AND ($6::bigint IS NULL OR coalesce(created_at, (job ->> 'created_at')::bigint) > $6)
    AND ($7::bigint IS NULL OR coalesce(created_at, (job ->> 'created_at')::bigint) < $7)
    AND ($8::bigint IS NULL OR (one.position, one.minted) > ($8, $9::text))
    AND ($10::bigint IS NULL OR (one.position, one.minted) < ($10, $11::text))
    AND ($12::bigint IS NULL OR one.position >= $12)
    AND ($13::bigint IS NULL OR one.position <= $13)
    AND (cardinality($14::uuid[]) = 1 OR cardinality($14::uuid[]) <= (
        SELECT count(*) FROM job_metadata AS other
        WHERE other.pair = ANY ($14::uuid[]) AND other.position = one.position AND other.minted = one.minted
    ))
ORDER BY one.position {order}, one.minted {order}
LIMIT $15;

-- name: rarest_pairs_of_jobs
-- The pairs $1 in order of how many jobs have them, counted up to $2.
SELECT pair, (SELECT count(*) FROM (SELECT FROM job_metadata WHERE job_metadata.pair = pair.pair LIMIT $2) AS counted)
FROM unnest($1::uuid[]) AS pair
ORDER BY count;

-- name: jobs_with_pair
-- Estimated, not read; so below.
SELECT FROM job_metadata WHERE pair = $1;

-- name: jobs_with_columns
SELECT FROM jobs
WHERE project = $1
    AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::text IS NULL OR md5(input) IN (md5($4), md5($5)));

-- name: job_spans
-- Of the spans $3 to $4 of $2 positions those with jobs created after $5 and before $6; `whole`: all of their jobs were.
SELECT span,
    ($5::bigint IS NULL OR first_created_at > $5) AND ($6::bigint IS NULL OR last_created_at < $6) AS whole
FROM job_spans
WHERE project = $1 AND size = $2 AND span BETWEEN $3 AND $4
    AND ($5::bigint IS NULL OR last_created_at > $5) AND ($6::bigint IS NULL OR first_created_at < $6)
ORDER BY span;

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

-- name: event_heads
SELECT project, last FROM event_positions WHERE project = ANY ($1::text[]);

-- name: kept_events
-- The positions of the oldest event that is kept and of the last one.
SELECT (SELECT min(position) FROM job_events WHERE job_events.project = event_positions.project) AS oldest, last
FROM event_positions WHERE project = $1;

-- name: events_of_projects
-- Of each of the projects $1 up to $3 events after its position in $2.
SELECT events.*
FROM unnest($1::text[], $2::bigint[]) AS asked (project, position)
CROSS JOIN LATERAL (
    SELECT project, position, job_id, kind, status, name, data::text AS data
    FROM job_events
    WHERE job_events.project = asked.project AND job_events.position > asked.position
    ORDER BY position
    LIMIT $3
) AS events;

-- name: events_of_job
SELECT project, position, job_id, kind, status, name, data::text AS data
FROM job_events
WHERE job_id = $2 AND project = $1 AND position > $3
ORDER BY position
LIMIT $4;

-- name: find_job_and_event_position
-- The job as it is after the events up to that position.
SELECT job::text AS job, coalesce((SELECT last FROM event_positions WHERE project = $2), 0) AS last
FROM jobs
WHERE id = $1 AND project = $2;
