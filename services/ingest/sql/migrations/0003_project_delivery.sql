-- Whether the files of a project are delivered to whoever knows their address, or only with a signature.
ALTER TABLE projects
    ADD COLUMN delivery text NOT NULL DEFAULT 'public' CHECK (delivery IN ('public', 'signed')),
    ADD COLUMN version integer NOT NULL DEFAULT 1;
