-- name: has_database
SELECT true FROM pg_database WHERE datname = $1;

-- name: create_database
-- {name} is put in by the caller, from a constant: identifiers cannot be parameters.
CREATE DATABASE {name};
