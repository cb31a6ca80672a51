-- What somebody else's servers did in those attempts: each code once, in the order of its first time. Empty in older rows.
ALTER TABLE job_queue ADD COLUMN deferral_reasons text[] NOT NULL DEFAULT '{}';
