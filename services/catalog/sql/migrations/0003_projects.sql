-- How the files of a project are delivered, for projects that have ever changed it; all others are public.
CREATE TABLE projects (
    id text COLLATE "C" PRIMARY KEY,
    signed boolean NOT NULL,
    version integer NOT NULL
);
