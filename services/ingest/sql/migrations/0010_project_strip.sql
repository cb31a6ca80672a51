-- Whether tags of place and device are removed from files of media items before they are stored.
ALTER TABLE projects ADD COLUMN strip boolean NOT NULL DEFAULT false;
