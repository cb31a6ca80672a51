-- name: reserve
-- Takes $2 requests of the window of the subject $1, which lasts $3 and begins with the first of them; how many were
-- taken in all, and the seconds until its end. By the clock of Postgres, which all replicas share; a window that ends too
-- late is of the time before that clock was set back.
INSERT INTO rate_windows AS known (subject, ends_at, used) VALUES ($1, now() + $3::interval, $2)
ON CONFLICT (subject) DO UPDATE SET
    ends_at = CASE WHEN known.ends_at > now() AND known.ends_at <= now() + $3::interval THEN known.ends_at
        ELSE excluded.ends_at END,
    used = CASE WHEN known.ends_at > now() AND known.ends_at <= now() + $3::interval THEN known.used + $2 ELSE $2 END
RETURNING used, extract(epoch FROM ends_at - now())::double precision AS left_s;
