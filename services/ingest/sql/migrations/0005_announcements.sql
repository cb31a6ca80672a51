-- How often a job was announced (`job.created`, or in `media.created`), and when last: what has no end after a while is
-- announced again. The indexes hold what may be due, so that their size does not grow with finished work.
ALTER TABLE jobs
    ADD COLUMN announced_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN announcements integer NOT NULL DEFAULT 1;
CREATE INDEX jobs_without_end ON jobs (announcements, announced_at) WHERE ended IS NULL;

-- Each state of a media item that lasts is announced a second time: nobody reports back that it was read.
ALTER TABLE media
    ADD COLUMN announced_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN announced_twice boolean NOT NULL DEFAULT true;
ALTER TABLE media ALTER COLUMN announced_twice SET DEFAULT false;
CREATE INDEX media_announced_once ON media (announced_at) WHERE NOT announced_twice;
