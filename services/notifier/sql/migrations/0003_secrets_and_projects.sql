-- Webhook secrets of projects. One that was replaced signs as well until it expires. `encrypted` is null for the secret
-- of the installation, which signs for projects without a secret of their own.
CREATE TABLE webhook_secrets (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    project text NOT NULL,
    encrypted text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz
);
CREATE INDEX webhook_secrets_of_project ON webhook_secrets (project, id);

-- The whole address where it has private parts, encrypted; `url` then has them masked.
ALTER TABLE deliveries ADD COLUMN encrypted_url text;

-- How the files of a project are delivered, for projects that have ever changed it; all others are public.
CREATE TABLE projects (
    id text PRIMARY KEY,
    signed boolean NOT NULL,
    version integer NOT NULL
);
