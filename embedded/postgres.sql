-- name: has_database
SELECT true FROM pg_database WHERE datname = $1;

-- name: create_database
-- {name} is replaced by the caller with a constant: identifiers cannot be query parameters.
CREATE DATABASE {name};
