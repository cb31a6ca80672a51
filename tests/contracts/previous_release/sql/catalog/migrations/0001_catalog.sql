-- What the catalog knows: one row a job, a media item, a deliverable file, an API key. Snapshots are `json` and not
-- `jsonb`, because customers get their metadata back in the order in which they wrote it, as the webhook shows it.

CREATE TABLE jobs (
    id text COLLATE "C" PRIMARY KEY,
    -- The time-ordered part of the id: jobs and tasks share one list, whatever their prefixes.
    minted text COLLATE "C" NOT NULL GENERATED ALWAYS AS (right(id, 26)) STORED,
    project text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    input text NOT NULL,
    -- 0 queued, 1 processing, 2 ended: what came later in a job's life wins over what arrived later.
    rank smallint NOT NULL,
    updated_at bigint NOT NULL,
    job json NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX jobs_listed ON jobs (project, minted);
CREATE INDEX jobs_by_kind ON jobs (project, kind, minted);
CREATE INDEX jobs_by_status ON jobs (project, status, minted);
-- An address can be longer than an index entry may be.
CREATE INDEX jobs_by_input ON jobs (project, md5(input), minted);

CREATE TABLE media (
    id text COLLATE "C" PRIMARY KEY,
    project text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    -- Deleted items stay as a mark, so that an old event that comes late does not bring them back.
    hidden boolean NOT NULL,
    kind text,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    filesize bigint,
    duration double precision,
    width integer,
    height integer,
    fps double precision,
    filename text COLLATE "C",
    -- The rows of media_metadata that belong to this item, so that they can be taken out without an index for it.
    pairs uuid[] NOT NULL DEFAULT '{}',
    item json NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX media_by_created ON media (project, created_at, id) WHERE NOT hidden;
CREATE INDEX media_by_kind ON media (project, kind, created_at, id) WHERE NOT hidden;
CREATE INDEX media_by_updated ON media (project, updated_at, id) WHERE NOT hidden;
CREATE INDEX media_by_filesize ON media (project, filesize, id) WHERE NOT hidden;
CREATE INDEX media_by_duration ON media (project, duration, id) WHERE NOT hidden;
CREATE INDEX media_by_width ON media (project, width, id) WHERE NOT hidden;
CREATE INDEX media_by_height ON media (project, height, id) WHERE NOT hidden;
CREATE INDEX media_by_fps ON media (project, fps, id) WHERE NOT hidden;
CREATE INDEX media_by_filename ON media (project, filename, id) WHERE NOT hidden;

-- One row for each metadata pair of each visible item. `pair` is a hash of (project, key, value): 16 bytes instead of
-- up to 4 KiB, and one column whose statistics tell the planner how common exactly this pair is.
CREATE TABLE media_metadata (
    pair uuid NOT NULL,
    created_at bigint NOT NULL,
    media_id text COLLATE "C" NOT NULL,
    kind text,
    PRIMARY KEY (pair, created_at, media_id) INCLUDE (kind)
);
-- A planner that has never seen how skewed the pairs are takes each for rare.
ALTER TABLE media_metadata ALTER COLUMN pair SET STATISTICS 1000;

-- Names at the delivery address, and the stored object that each points at. Two owners can claim one name for a moment
-- (an item takes over a name while the event that released it is still on its way): the newer claim is served.
CREATE TABLE files (
    project text COLLATE "C" NOT NULL,
    path text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    since bigint NOT NULL,
    -- The item that has to be visible for the file to be.
    media_id text COLLATE "C",
    key text NOT NULL,
    content_type text NOT NULL,
    -- The name will never point at other bytes.
    lasting boolean NOT NULL,
    PRIMARY KEY (project, path, owner)
);
CREATE INDEX files_by_owner ON files (owner);

CREATE TABLE api_keys (
    id text COLLATE "C" PRIMARY KEY,
    hash text COLLATE "C" NOT NULL,
    key json NOT NULL,
    revoked_at bigint
);
CREATE INDEX api_keys_by_hash ON api_keys (hash);
