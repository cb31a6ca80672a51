-- The projects that have work in the queue, in the order in which they are served: the one of which the least work has
-- been claimed since it came. A project joins behind the others, and leaves when a claim finds nothing of it any more.
CREATE TABLE job_queue_projects (
    project text PRIMARY KEY,
    work double precision NOT NULL, -- estimated seconds claimed, from where it joined
    place bigint NOT NULL, -- a number that grows: among equals the longest wait comes first
    added bigint NOT NULL -- changes with each item that is added: who saw an older value must not remove the project
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);
CREATE INDEX job_queue_projects_order ON job_queue_projects (work, place);
CREATE SEQUENCE job_queue_places;

-- A trigger, so that it holds for processes of the previous release as well.
CREATE FUNCTION job_queue_join_projects() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO job_queue_projects (project, work, place, added)
    SELECT project, (SELECT coalesce(max(work), 0) FROM job_queue_projects),
        nextval('job_queue_places'), nextval('job_queue_places')
    FROM (SELECT project FROM added_items GROUP BY project ORDER BY project) AS projects
    ON CONFLICT (project) DO UPDATE SET added = EXCLUDED.added;
    RETURN NULL;
END $$;
CREATE TRIGGER job_queue_join_projects AFTER INSERT ON job_queue
    REFERENCING NEW TABLE AS added_items FOR EACH STATEMENT EXECUTE FUNCTION job_queue_join_projects();

INSERT INTO job_queue_projects (project, work, place, added)
SELECT project, 0, nextval('job_queue_places'), nextval('job_queue_places')
FROM (SELECT project FROM job_queue WHERE state IN ('queued', 'running') GROUP BY project ORDER BY min(not_before))
    AS projects;
