-- Templates: identifiers and passwords cannot be parameters. `chassis.adapters.postgres.roles` inserts them, quoted.

-- name: lock_roles
-- Two grants on one database would update the same rows of the catalog.
SELECT pg_advisory_xact_lock(hashtextextended('bitmill.roles', 0));

-- name: refusals
-- Why an existing role cannot be the role of a service; no row if it does not exist.
SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls AS powerful,
    EXISTS (SELECT FROM pg_auth_members WHERE member = role.oid) AS member,
    EXISTS (
        SELECT FROM pg_shdepend
        WHERE refclassid = 'pg_authid'::regclass AND refobjid = role.oid AND deptype = 'o'
            AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
            -- Temporary tables of a session that is open.
            AND NOT EXISTS (
                SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
                WHERE classid = 'pg_class'::regclass AND pg_class.oid = objid AND nspname ~ '^pg_temp_'
            )
    ) AS owner,
    rolname = current_user OR rolname = session_user AS current
FROM pg_roles AS role WHERE rolname = %s;

-- name: create_role
CREATE ROLE {role} LOGIN;

-- name: set_login
ALTER ROLE {role} LOGIN;

-- name: set_password
ALTER ROLE {role} PASSWORD {password};

-- name: close_database
-- What Postgres grants everybody: connecting, temporary tables, and in old versions creating tables in `public`.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;

-- name: has_public_schema
SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public');

-- name: close_public_schema
REVOKE ALL ON SCHEMA public FROM PUBLIC;

-- name: reset_database
REVOKE ALL ON DATABASE {database} FROM {role};

-- name: grant_connect
GRANT CONNECT ON DATABASE {database} TO {role};

-- name: grant_temporary
GRANT TEMPORARY ON DATABASE {database} TO {role};

-- name: close_schema
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;

-- name: grant_schema
GRANT USAGE ON SCHEMA {schema} TO {role};

-- name: grant_tables
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};

-- name: grant_sequences
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {role};

-- name: grant_future_tables
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};

-- name: grant_future_sequences
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {role};

-- name: bookkeeping
-- The tables that record what was applied.
SELECT tablename FROM pg_tables
WHERE schemaname = %s AND (tablename ~ '^_?yoyo' OR tablename = 'migration_checksums');

-- name: close_table
REVOKE ALL ON TABLE {schema}.{table} FROM {role};

-- name: grant_reading
GRANT SELECT ON TABLE {schema}.{table} TO {role};

-- name: excess
-- What a role may do beyond its own schema: it was granted before, to the role or to PUBLIC, perhaps by somebody else.
-- USAGE of `public` alone gives nothing, and where its owner is another role it cannot be taken away.
SELECT 'USAGE of schema ' || nspname FROM pg_namespace
WHERE has_schema_privilege(%(role)s, oid, 'USAGE') AND nspname NOT IN (%(schema)s, 'public', 'information_schema')
    AND nspname !~ '^pg_'
UNION ALL
SELECT 'CREATE in schema ' || nspname FROM pg_namespace
WHERE has_schema_privilege(%(role)s, oid, 'CREATE') AND nspname !~ '^pg_'
UNION ALL
SELECT 'CREATE in the database' WHERE has_database_privilege(%(role)s, current_database(), 'CREATE');
