-- name: set_reply
UPDATE jobs SET reply = $2::text::json WHERE id = $1

-- name: has_due_replies
SELECT EXISTS (SELECT FROM replies WHERE not_before <= now())

-- name: add_replies
INSERT INTO replies (topic, key, value, headers)
SELECT topic, key, value, headers::json
FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::text[]) AS row (topic, key, value, headers)

-- name: due_replies
SELECT id, topic, key, value, headers FROM replies WHERE not_before <= now() ORDER BY id LIMIT $1
FOR UPDATE SKIP LOCKED

-- name: end_replies
DELETE FROM replies WHERE id = ANY ($1::bigint[])

-- name: postpone_replies
-- Twice as long after each attempt, up to five minutes.
UPDATE replies SET attempts = attempts + 1,
    not_before = now() + least(interval '5 minutes', interval '2 seconds' * 2 ^ least(attempts, 10))
WHERE id = ANY ($1::bigint[])
