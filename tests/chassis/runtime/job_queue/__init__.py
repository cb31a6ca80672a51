"""The queue, on a real Postgres."""
